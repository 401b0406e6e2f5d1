# libreswan as the client; see client.sh for the settings. Sourced, never run.

LIBRESWAN_TOOLS=/usr/libexec/ipsec # `ipsec` itself is a script that starts other ones, which a guest takes its time for

libreswan_running() { [ -S /run/pluto/pluto.ctl ]; }

# libreswan_proposals PROPOSAL,...: strongSwan's words in libreswan's.
libreswan_proposals() {
    local part proposal answer='' group word letter
    for proposal in ${1//,/ }; do
        proposal=${proposal%+deflate}
        word='' group=''
        for part in ${proposal//-/ }; do
            case $part in
                ecp256) group=dh19 ;;
                ecp384) group=dh20 ;;
                ecp521) group=dh21 ;;
                curve25519) group=dh31 ;;
                modp*) group=$part ;;
                esn) ;; # a setting of its own
                ah) ;;  # the same
                aesxcbc) word+=-aes_xcbc ;;
                aes*ctr) part=${part#aes}; word+=-aes_ctr${part%ctr} ;;
                aes*[cg]cm8 | aes*[cg]cm12) part=${part#aes}
                    case $part in *cm8) letter=a ;; *) letter=b ;; esac
                    word+=-aes_${part:3:3}_$letter${part:0:3}-null ;;
                aes*ccm16) part=${part#aes}; word+="-aes_ccm_c${part%ccm16}-null" ;;
                sha256 | sha384 | sha512) word+="-sha2_${part#sha}" ;;
                aes*gcm16) part=${part#aes}; word+="-aes_gcm${part%gcm16}-null" ;;
                *) word+="-$part" ;;
            esac
        done
        answer+=",${word#-}${group:+;$group}"
    done
    echo "${answer#,}"
}

# The name of an SA's connection: "gateway" is the first, whatever it protects.
libreswan_names() { children | sed '1s/.*/gateway/'; }

# libreswan_connection NAME [OURS THEIRS]
libreswan_connection() {
    local phase=esp
    [[ $ESP_PROPOSALS != ah-* ]] || phase=ah
    cat <<CONF
conn $1
    authby=$by
    ikev2=no
    aggressive=$([ "$EXCHANGE" = main ] && echo no || echo yes)
    type=$MODE
    left=$ADDRESS
    ${ROUTER:+leftnexthop=$ROUTER}
    right=$GATEWAY
    rightid=%any
    ${2:+leftsubnet=$2}
    ${3:+rightsubnet=$3}
    $([ $# -gt 1 ] || printf '%s\n    ' leftprotoport=17/1701 rightprotoport=17/1701)
    ${LOCAL_ID:+leftid=@$LOCAL_ID}
    $certificate
    ike=$(libreswan_proposals "$IKE_PROPOSALS")
    phase2=$phase
    $phase=$(libreswan_proposals "$ESP_PROPOSALS")
    compress=$([[ $ESP_PROPOSALS == *+deflate* ]] && echo yes || echo no)
    pfs=$pfs
    fragmentation=$([ -n "$FRAGMENT_BYTES" ] && echo force || echo yes)
    ${INITIAL_CONTACT:+initial-contact=$INITIAL_CONTACT}
    ${DPD_SECONDS:+dpddelay=$DPD_SECONDS}
    ${DPD_SECONDS:+dpdtimeout=$((DPD_SECONDS * 4))}
    $life
    auto=ignore
CONF
}

libreswan_configure() { # PSK
    local by=secret certificate='' name pfs=no life='' pair names
    [[ $ESP_PROPOSALS =~ modp|ecp|curve ]] && pfs=yes
    if [[ $AUTHENTICATION == certificate:* ]]; then
        name=${AUTHENTICATION#*:}
        by=rsasig certificate="leftcert=$name
    leftid=%fromcert
    leftsendcert=always
    sendca=all"
    fi
    # The margin is how long before its end an SA is renewed.
    [ -z "$REKEY" ] || life="ikelifetime=$((${REKEY% *} + 10))s
    salifetime=$((${REKEY#* } + 10))s
    rekeymargin=10s
    rekeyfuzz=0%"
    names=($(libreswan_names)) # each is a word
    {
        printf '%s\n    ' 'config setup' logfile=/run/job/pluto.log plutodebug=none ikev1-policy=accept
        echo
        [ -n "$NETWORKS" ] || libreswan_connection gateway
        for pair in $NETWORKS; do
            libreswan_connection "${names[0]}" "${pair%=*}" "${pair#*=}"
            names=("${names[@]:1}")
        done
    } >/etc/ipsec.conf
    sed -i '/^ *$/d' /etc/ipsec.conf
    # Any key, as hexadecimal digits.
    printf ': PSK 0x%s\n' "$(printf %s "$1" | od -An -v -tx1 | tr -d ' \n')" >/etc/ipsec.secrets
    if ! libreswan_running; then
        mkdir -p /run/pluto /var/lib/ipsec
        [ -e /var/lib/ipsec/nss ] && rm -rf /var/lib/ipsec/nss
        cp -r pki/nss /var/lib/ipsec/nss
        $LIBRESWAN_TOOLS/pluto --nofork --config /etc/ipsec.conf >pluto.out 2>&1 &
        until_true 10 test -S /run/pluto/pluto.ctl || { echo "pluto does not start"; return 1; }
    fi
    {
        until_true 10 $LIBRESWAN_TOOLS/whack --rereadsecrets
        for name in gateway networks2 networks3; do $LIBRESWAN_TOOLS/whack --delete --name $name; done
        for name in $(libreswan_names); do $LIBRESWAN_TOOLS/addconn --ctlsocket /run/pluto/pluto.ctl "$name"; done
    } >whack.log 2>&1 || { tail -n3 whack.log; return 1; }
}
libreswan_up() { # SECONDS
    local name
    for name in $(libreswan_names); do
        timeout "$1" $LIBRESWAN_TOOLS/whack --initiate --name "$name" >initiate.log 2>&1
        [[ $(<initiate.log) == *"IPsec SA established"* ]] || { tail -n3 initiate.log; return 1; }
    done
}
libreswan_down() {
    local name
    for name in networks2 networks3 gateway; do
        timeout 5 $LIBRESWAN_TOOLS/whack --terminate --name $name >/dev/null 2>&1
    done
    libreswan_gone
}
libreswan_gone() { [ -z "$(ip xfrm state)" ]; }
libreswan_end() {
    timeout 5 $LIBRESWAN_TOOLS/whack --shutdown >/dev/null 2>&1
    until_true 5 test ! -e /run/pluto/pluto.ctl || rm -f /run/pluto/pluto.ctl
}
