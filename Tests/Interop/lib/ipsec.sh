# Which transforms a guest's kernel has, and networks joined by tunnels. Each returns 0, or calls `because REASON` and
# returns 1. Sourced, never run.

# kernel_words PROPOSAL MODE: what `ip xfrm state` says of such SAs, a regular expression a line.
kernel_words() {
    local proposal=${1%+deflate} part bits
    [[ $1 != *+deflate ]] || printf '%s\n' 'proto comp ' 'comp deflate'
    [[ $proposal != ah-* ]] || echo 'proto ah '
    [[ $proposal == ah-* && $proposal != *+* ]] || echo 'proto esp '
    echo "mode $2"
    for part in ${proposal//[-+]/ }; do
        bits=${part//[!0-9]/ }
        read -r bits _ <<<"$bits"
        case $part in
            null) echo 'enc ecb\(cipher_null\)' ;;
            des) echo 'enc cbc\(des\)' ;;
            3des) echo 'enc cbc\(des3_ede\)' ;;
            # The nonce follows the key.
            aes*ctr) echo "enc rfc3686\\(ctr\\(aes\\)\\) 0x[0-9a-f]{$((bits / 4 + 8))}( |\$)" ;;
            aes*gcm*) echo "aead rfc4106\\(gcm\\(aes\\)\\) 0x[0-9a-f]{$((bits / 4 + 8))} $((${part#*gcm} * 8))" ;;
            aes*ccm*) echo "aead rfc4309\\(ccm\\(aes\\)\\) 0x[0-9a-f]{$((bits / 4 + 6))} $((${part#*ccm} * 8))" ;;
            aesxcbc) echo 'auth-trunc xcbc\(aes\) 0x[0-9a-f]{32} 96' ;;
            aes*) echo "enc cbc\\(aes\\) 0x[0-9a-f]{$((bits / 4))}( |\$)" ;;
            md5) echo 'auth-trunc hmac\(md5\) 0x[0-9a-f]{32} 96' ;;
            sha1) echo 'auth-trunc hmac\(sha1\) 0x[0-9a-f]{40} 96' ;;
            sha256) echo 'auth-trunc hmac\(sha256\) 0x[0-9a-f]{64} 128' ;;
            sha384) echo 'auth-trunc hmac\(sha384\) 0x[0-9a-f]{96} 192' ;;
            sha512) echo 'auth-trunc hmac\(sha512\) 0x[0-9a-f]{128} 256' ;;
            esn) echo 'flag.* esn' ;;
        esac
    done
}
# kernel_has GUEST PROPOSAL MODE: the guest's kernel has such SAs, one for each way.
kernel_has() {
    local word
    in_guest "$1" 10 'ip xfrm state' || because "ip xfrm state: $ANSWER" || return 1
    while read -r word; do
        [ "$(grep -cE "$word" <<<"$ANSWER")" -ge 2 ] || because "the guest's kernel has no two SAs with '$word': $ANSWER" || return 1
    done < <(kernel_words "$2" "$3")
}

# carried GUEST OURS THEIRS: pings, and the blob each way, asked for by either side, between OURS, an address behind the
# guest, and THEIRS, one behind the gateway.
carried() {
    local sum url=$2
    [[ $2 != *:* ]] || url="[$2]"
    in_guest "$1" 120 "$(settings INSIDE="$3") pings $2 && transfer up --interface $2 && transfer down --interface $2" ||
        because "$2 to $3: $(tail -n3 <<<"$ANSWER")" || return 1
    moved "$1" 2 || return 1
    in_ns inside ping -q -c4 -i0.3 -W2 -I "$3" "$2" >"$WORK/pings" || because "$3 to $2: $(<"$WORK/pings")" || return 1
    sum=$(in_ns inside curl -gsS -m 60 --interface "$3" "http://$url/blob" | sha256sum)
    [ "${sum%% *}" = "$BLOB_SHA256" ] || because "$3 to $2: the blob came as ${sum%% *}" || return 1
    sum=$(in_ns inside curl -gsS -m 60 --interface "$3" -T "$WORK/blob" "http://$url/up")
    [ "$sum" = "$BLOB_SHA256" ] || because "$3 to $2: the blob went as $sum"
}

# carried_to_host GUEST OURS THEIRS: the same between the guest and the gateway's own host: pings, and the blob down to it.
# Of what the guest's kernel has an SA for, it takes nothing in clear.
carried_to_host() {
    local sum
    in_guest "$1" 60 "ping -q -c4 -i0.3 -W2 $3" || because "$2 to $3: $(tail -n3 <<<"$ANSWER")" || return 1
    in_ns gateway ping -q -c4 -i0.3 -W2 "$2" >"$WORK/pings" || because "$3 to $2: $(<"$WORK/pings")" || return 1
    sum=$(in_ns gateway curl -gsS -m 60 "http://$2/blob" | sha256sum)
    [ "${sum%% *}" = "$BLOB_SHA256" ] || because "$3 to $2: the blob came as ${sum%% *}"
}

# What is joined: networks behind the guest, and those behind the gateway.
OWN_INSIDE=10.96.0.1 OWN_INSIDE_SECOND=10.94.0.1 OWN_INSIDE_6=fd00:96::1 # as in guest/networks.sh
declare -A PAIRS=(
    [4]="10.96.0.0/24=10.99.0.0/24"
    [6]="fd00:96::/64=fd00:99::/64"
    # The peer itself is in its network.
    [peer]="192.0.2.8/29=10.99.0.0/24"
    [hosts]="192.0.2.11/32=192.0.2.1/32"
    [several]="10.96.0.0/24=10.99.0.0/24 10.94.0.0/24=10.95.0.0/24"
)

# tunnel_config OUTER INNER START: the gateway's side.
tunnel_config() {
    local pair local_side='' remote_side='' peer=192.0.2.11
    [ "$1" = 4 ] || peer=$GUEST_OUTER_6
    for pair in ${PAIRS[$2]}; do
        local_side+=", \"${pair#*=}\"" remote_side+=", \"${pair%=*}\""
    done
    cat <<YAML
tunnels:
  - name: branch
    peer: "$peer"
    local: [${local_side#, }]
    remote: [${remote_side#, }]
    start: $3
    mode: $([ "$2" = hosts ] && echo transport || echo tunnel)
YAML
    [[ $PROTECTION != ah-* ]] || echo "ah: {integrity: [${PROTECTION#ah-}]}"
}

# joined CLIENT STARTER OUTER INNER: the guest's networks and the gateway's, by a tunnel over IPv4 or IPv6
# (OUTER) for IPv4, IPv6 or several networks (INNER), that the guest or the gateway (STARTER) begins; by PROTECTION.
PROTECTION=aes256-sha1
joined() {
    local client=$1 starter=$2 outer=$3 inner=$4 setup gateway=$GATEWAY_OUTER own=192.0.2.11 start=onDemand mode=tunnel
    [ "$inner" != hosts ] || mode=transport
    [ "$outer" = 4 ] || gateway=$GATEWAY_OUTER_6 own=$GUEST_OUTER_6
    [ "$starter" = gateway ] || start=respond
    restart "$(tunnel_config "$outer" "$inner" $start)" && guests direct || return 1
    in_guest direct 15 'hang_up; networks_up' || because "$ANSWER" || return 1
    setup=$(settings CLIENT="$client" MODE=$mode NETWORKS="${PAIRS[$inner]}" GATEWAY=$gateway ADDRESS=$own \
        ESP_PROPOSALS=$PROTECTION)
    in_guest direct 20 "$setup $(printf 'ipsec_configure %q' "$PSK")" || because "$client: $ANSWER" || return 1
    if [ "$starter" = guest ]; then
        in_guest direct 40 "$setup ipsec_up" || because "$client: $ANSWER" || return 1
    else
        # The first packet asks for the tunnel; it may be lost.
        first() { in_ns inside ping -q -c1 -W1 -I "$2" "$1" >/dev/null; }
        case $inner in
            4) within 10 first $OWN_INSIDE $SERVER_INSIDE ;;
            peer) within 10 first 192.0.2.11 $SERVER_INSIDE ;;
            hosts) within 10 in_ns gateway ping -q -c1 -W1 192.0.2.11 >/dev/null ;;
            6) within 10 first $OWN_INSIDE_6 $SERVER_INSIDE_6 ;;
            several) within 10 first $OWN_INSIDE $SERVER_INSIDE &&
                within 10 first $OWN_INSIDE_SECOND $SERVER_INSIDE_SECOND ;;
        esac || because "$client: no packet from the inside brings the tunnel up: $(tail -n1 "$WORK/gateway.log")" || return 1
    fi
    case $inner in
        6) carried direct $OWN_INSIDE_6 $SERVER_INSIDE_6 ;;
        peer) carried direct 192.0.2.11 $SERVER_INSIDE ;;
        hosts) carried_to_host direct 192.0.2.11 "$GATEWAY_OUTER" ;;
        *) carried direct $OWN_INSIDE $SERVER_INSIDE ;;
    esac || return 1
    [ "$inner" != several ] || carried direct $OWN_INSIDE_SECOND $SERVER_INSIDE_SECOND || return 1
    kernel_has direct $PROTECTION $mode || return 1
    DETAILS+="; $client, begun by the $starter, $inner in $outer by $PROTECTION"
}
