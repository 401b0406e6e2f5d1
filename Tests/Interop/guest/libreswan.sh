# libreswan as the client; see client.sh for the settings. Sourced, never run.

LIBRESWAN_TOOLS=/usr/libexec/ipsec # `ipsec` itself is a script that starts other ones, which a guest takes its time for

libreswan_running() { [ -S /run/pluto/pluto.ctl ]; }

# libreswan_proposals PROPOSAL,...: strongSwan's words in libreswan's.
libreswan_proposals() {
    local part proposal answer='' group word
    for proposal in ${1//,/ }; do
        word='' group=''
        for part in ${proposal//-/ }; do
            case $part in
                ecp256) group=dh19 ;;
                ecp384) group=dh20 ;;
                ecp521) group=dh21 ;;
                curve25519) group=dh31 ;;
                modp*) group=$part ;;
                sha256 | sha384 | sha512) word+="-sha2_${part#sha}" ;;
                aes*gcm16) part=${part#aes}; word+="-aes_gcm${part%gcm16}-null" ;;
                *) word+="-$part" ;;
            esac
        done
        answer+=",${word#-}${group:+;$group}"
    done
    echo "${answer#,}"
}

libreswan_configure() { # PSK
    local by=secret certificate='' name pfs=no life=''
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
    cat >/etc/ipsec.conf <<CONF
config setup
    logfile=/run/job/pluto.log
    plutodebug=none
    ikev1-policy=accept
conn gateway
    authby=$by
    ikev2=no
    aggressive=$([ "$EXCHANGE" = main ] && echo no || echo yes)
    type=transport
    left=$ADDRESS
    ${ROUTER:+leftnexthop=$ROUTER}
    leftprotoport=17/1701
    right=$GATEWAY
    rightprotoport=17/1701
    rightid=%any
    ${LOCAL_ID:+leftid=@$LOCAL_ID}
    $certificate
    ike=$(libreswan_proposals "$IKE_PROPOSALS")
    esp=$(libreswan_proposals "$ESP_PROPOSALS")
    pfs=$pfs
    fragmentation=$([ -n "$FRAGMENT_BYTES" ] && echo force || echo yes)
    ${INITIAL_CONTACT:+initial-contact=$INITIAL_CONTACT}
    ${DPD_SECONDS:+dpddelay=$DPD_SECONDS}
    ${DPD_SECONDS:+dpdtimeout=$((DPD_SECONDS * 4))}
    $life
    auto=ignore
CONF
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
        $LIBRESWAN_TOOLS/whack --delete --name gateway
        $LIBRESWAN_TOOLS/addconn --ctlsocket /run/pluto/pluto.ctl gateway
    } >whack.log 2>&1 || { tail -n3 whack.log; return 1; }
}
libreswan_up() { # SECONDS
    timeout "$1" $LIBRESWAN_TOOLS/whack --initiate --name gateway >initiate.log 2>&1
    [[ $(<initiate.log) == *"IPsec SA established"* ]] || { tail -n3 initiate.log; return 1; }
}
libreswan_down() {
    timeout 5 $LIBRESWAN_TOOLS/whack --terminate --name gateway >/dev/null 2>&1
    libreswan_gone
}
libreswan_gone() { [ -z "$(ip xfrm state)" ]; }
libreswan_end() {
    timeout 5 $LIBRESWAN_TOOLS/whack --shutdown >/dev/null 2>&1
    until_true 5 test ! -e /run/pluto/pluto.ctl || rm -f /run/pluto/pluto.ctl
}
