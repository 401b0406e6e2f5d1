# strongSwan as the client; see client.sh for the settings. Sourced, never run.

strongswan_running() { [ -S /run/charon.vici ]; }

# strongswan_child NAME [OURS THEIRS]: what is protected and how, of SAs of that name.
strongswan_child() {
    local proposals=${ESP_PROPOSALS//+deflate/} protocol=esp
    [[ $proposals != ah-* ]] || protocol=ah
    cat <<CONF
            $1 {
                mode = $MODE
                local_ts = ${2:-dynamic[udp/1701]}
                remote_ts = ${3:-dynamic[udp/1701]}
                ${protocol}_proposals = ${proposals//ah-/}
                ipcomp = $([[ $ESP_PROPOSALS == *+deflate* ]] && echo yes || echo no)
                dpd_action = clear
                $phase2
            }
CONF
}
strongswan_children() {
    local pair names
    names=($(children)) # each is a word
    [ -n "$NETWORKS" ] || strongswan_child l2tp
    for pair in $NETWORKS; do
        strongswan_child "${names[0]}" "${pair%=*}" "${pair#*=}"
        names=("${names[@]:1}")
    done
}

strongswan_configure() { # PSK
    local local_side='auth = psk' remote_side='auth = psk' phase1='' phase2='' aggressive=no name
    [ "$EXCHANGE" = main ] || aggressive=yes
    mkdir -p /etc/swanctl/conf.d
    if [[ $AUTHENTICATION == certificate:* ]]; then
        name=${AUTHENTICATION#*:}
        local_side="auth = pubkey
                certs = $name.pem" remote_side='auth = pubkey'
        cp pki/ca.pem /etc/swanctl/x509ca/
        # An intermediate authority's is no anchor of trust, but is sent along.
        cp "pki/$name.pem" pki/intermediate.pem /etc/swanctl/x509/
        cp "pki/$name.key" /etc/swanctl/private/
    fi
    [ -z "$LOCAL_ID" ] || local_side+="
                id = $LOCAL_ID"
    if [ -n "$REKEY" ]; then
        phase1="rekey_time = ${REKEY% *}s
                rand_time = 0s
                over_time = 10s"
        phase2="rekey_time = ${REKEY#* }s
                rand_time = 0s
                life_time = $((${REKEY#* } + 8))s"
    fi
    # The key in base64: it may hold any character.
    cat >/etc/swanctl/conf.d/interop.conf <<CONF
connections {
    gateway {
        version = 1
        aggressive = $aggressive
        remote_addrs = $GATEWAY
        proposals = $IKE_PROPOSALS
        fragmentation = $([ -n "$FRAGMENT_BYTES" ] && echo force || echo yes)
        unique = $([ "$INITIAL_CONTACT" = no ] && echo never || echo no)
        ${DPD_SECONDS:+dpd_delay = ${DPD_SECONDS}s}
        $phase1
        local { $local_side }
        remote { $remote_side
                 id = %any }
        children {
$(strongswan_children)
        }
    }
}
secrets { ike-gateway { secret = 0s$(printf %s "$1" | base64 -w0) } }
CONF
    # Explicit lists: every plugin that is loaded costs a guest tens of milliseconds.
    cat >/etc/strongswan.conf <<CONF
charon-systemd {
    load = random nonce openssl pem pkcs1 pkcs8 x509 constraints pubkey aes hmac sha1 sha2 gcm xcbc kernel-netlink socket-default vici
    fragment_size = ${FRAGMENT_BYTES:-1280}
    filelog {
        interop {
            path = /run/job/charon.log
            time_format = %H:%M:%S
            flush_line = yes
            default = 1
            ike = 2
        }
    }
    retransmit_tries = 3
    retransmit_timeout = 2
}
swanctl { load = random openssl pem pkcs1 pkcs8 x509 }
CONF
    if ! strongswan_running; then
        charon-systemd >charon.out 2>&1 &
        until_true 10 test -S /run/charon.vici || { echo "charon does not start"; return 1; }
    fi
    # Only what is read when an exchange begins, the size of fragments, changes in the running one.
    [ -z "$FRAGMENT_BYTES" ] || swanctl --reload-settings >/dev/null
    swanctl --load-all --clear >swanctl.log 2>&1 || { cat swanctl.log; return 1; }
}
strongswan_up() { # SECONDS
    local child
    for child in $(children); do
        timeout $(($1 + 5)) swanctl --initiate --child "$child" --timeout "$1" >initiate.log 2>&1 ||
            { tail -n3 initiate.log; return 1; }
    done
}
strongswan_down() {
    timeout 5 swanctl --terminate --ike gateway --timeout 3 >/dev/null 2>&1
    strongswan_gone
}
strongswan_gone() { [ -z "$(swanctl --list-sas)" ]; }
strongswan_end() {
    pkill -x charon-systemd
    until_true 5 test ! -e /run/charon.vici || rm -f /run/charon.vici
}
