# The cases about IPsec itself: volumes counted to the byte. Sourced, never run.

CASES+=(
    "kilobytes-500|SAs of 1 MB are renewed hundreds of times in one stream, and all counters agree to the byte"
    "networks|networks behind strongSwan and libreswan are joined to ours, whoever begins, in IPv4 and IPv6"
    "policy|what rules and predefined policies secure, start, permit and refuse, each with a real client"
)

STREAM_BLOBS=3   # how often the blob is in the stream down, at full speed; --long: 25, which are 500 MB
STREAM_LIMIT=4M  # bytes per second up: the client keeps to no limit of kilobytes, so what it sends by an SA that is at its end,
                 # while it takes its time for the quick mode (up to 100 ms where it sends 25 MB/s), is dropped

# ipsec_bytes: what the gateway's SAs have sent and received, by its statistics.
ipsec_bytes() {
    culvert statistics --json >"$WORK/statistics.json" && /usr/bin/python3 -c 'import json, sys
ipsec = json.load(open(sys.argv[1]))["ipsec"]
print(ipsec["confidentialBytesSent"], ipsec["confidentialBytesReceived"])' "$WORK/statistics.json"
}

# agreed: the session's counters are those of the client's link to the byte, and the client's IPsec dropped nothing.
agreed() {
    local -a client session
    in_guest direct 5 link_counters && read -ra client <<<"$ANSWER" && read -ra session <<<"$(sessions)" || return 1
    UP_BYTES=$((session[6] - SESSION[6])) DOWN_BYTES=$((session[7] - SESSION[7]))
    UP=$((session[8] - SESSION[8])) DOWN=$((session[9] - SESSION[9])) DROPPED=$((client[4] - CLIENT[4]))
    CLIENT_UP_BYTES=$((client[1] - CLIENT[1])) CLIENT_DOWN_BYTES=$((client[0] - CLIENT[0]))
    CLIENT_UP=$((client[3] - CLIENT[3])) CLIENT_DOWN=$((client[2] - CLIENT[2]))
    [ $UP_BYTES = $CLIENT_UP_BYTES ] && [ $UP = $CLIENT_UP ] &&
        [ $DOWN_BYTES = $CLIENT_DOWN_BYTES ] && [ $DOWN = $CLIENT_DOWN ] && [ $DROPPED = 0 ]
}

case_kilobytes_500() {
    local log mark=1 phase2 wanted before=$WORK/drops.before grown sum row figures good own
    restart 'lifetimes: {ipsecKilobytes: 1000}' && guests direct && hang_up direct || return 1
    log=${GUEST_JOB[direct]}/charon.log
    [ ! -e "$log" ] || mark=$(($(stat -c %s "$log") + 1))
    in_guest direct 10 sa_watch || because "the guest's SAs cannot be watched: $ANSWER" || return 1
    connect direct $ALICE $ALICE_PASSWORD || return 1
    drops >"$before"
    in_guest direct 5 link_counters && read -ra CLIENT <<<"$ANSWER" && read -ra SESSION <<<"$(sessions)" ||
        because "no counters: $ANSWER" || return 1
    sum=$(for ((row = 0; row < STREAM_BLOBS; row++)); do cat "$WORK/blob"; done | sha256sum)
    in_guest direct 1200 "stream_down $STREAM_BLOBS && transfer up --limit-rate $STREAM_LIMIT" ||
        because "the stream failed: $ANSWER" || return 1
    [ "${ANSWER%%$'\n'*}" = "$sum" ] || because "the bytes that went down are not those that were sent: $ANSWER" || return 1
    ANSWER=${ANSWER#*$'\n'}
    moved direct 1 || return 1
    phase2=$(tail -c "+$mark" "$log" | grep -c 'CHILD_SA l2tp.* established')
    # Each way counts of its own, and the half of an SA's life is the earliest at which its successor is asked for.
    wanted=$(((STREAM_BLOBS + 1) * BLOB_MEGABYTES))
    ((phase2 >= wanted)) || because "phase 2 only $phase2 times in $wanted MB" || return 1
    # strongSwan calls a message 3 malformed that it had before; it is repeated where an SA's end is near.
    grown=$(dropped_since "$before" | sed -E 's/(path\.(natKeepalive|notIPv4)|ike\.notificationIgnored) \+[0-9]+ //g')
    within 5 agreed
    good=$?
    figures="up $UP_BYTES bytes in $UP packets at the gateway, $CLIENT_UP_BYTES in $CLIENT_UP at the client; down $DOWN_BYTES in"
    figures+=" $DOWN at the gateway, $CLIENT_DOWN_BYTES in $CLIENT_DOWN at the client, whose IPsec dropped $DROPPED"
    in_guest direct 5 "grep -v '\b0\$' /proc/net/xfrm_stat" && figures+=": ${ANSWER//[[:space:]]/ }"
    [ -z "$grown" ] || because "the gateway dropped $grown($figures)" || return 1
    [ $good = 0 ] || because "the counters do not agree: $figures" || return 1
    DETAILS="phase 2 established $phase2 times; $figures$DETAILS"
    # What the client's SAs have carried, those that have ended included, against what ours have.
    in_guest direct 10 sa_bytes && own=$ANSWER && figures=$(ipsec_bytes) ||
        because "no counters of SAs: $ANSWER $figures" || return 1
    [ "$own" = "$figures" ] ||
        because "the client's SAs received and sent $own bytes, the gateway's sent and received $figures" || return 1
    DETAILS+="; SAs of both count $own bytes down and up"
    hang_up direct && no_sessions 5 && restart
}

# A few of all there are, for the short run.
NETWORKS_SHORT="strongswan-guest-6-4 strongswan-gateway-4-several libreswan-gateway-6-6 libreswan-guest-4-several
    strongswan-gateway-4-peer libreswan-gateway-4-hosts"
case_networks() {
    local client starter outer inner
    for client in strongswan libreswan; do
        for starter in guest gateway; do
            for outer in 4 6; do
                for inner in 4 6 several peer hosts; do
                    [[ $outer$inner != 6[ph]* ]] || continue
                    [ $LONG = yes ] || grep -qwF -- "$client-$starter-$outer-$inner" <<<"$NETWORKS_SHORT" || continue
                    joined $client $starter $outer $inner || return 1
                    in_guest direct 15 ipsec_down || because "cannot hang up: $ANSWER" || return 1
                done
            done
        done
    done
    # By AH in IPv6, whose header the gateway does not see: the list of what it accepts is another one.
    for PROTECTION in ah-sha1 ah-sha256; do
        for client in strongswan libreswan; do
            [ $LONG = yes ] || [ $client-$PROTECTION = strongswan-ah-sha256 ] || continue
            joined $client guest 6 6 || return 1
            in_guest direct 15 ipsec_down || because "cannot hang up: $ANSWER" || return 1
        done
    done
    DETAILS=${DETAILS#; } PROTECTION=aes256-sha1
    guest_kill direct
    restart
}

# web_policy USE ACTION: the rule `web` is about what the guest serves on TCP port 80, and what the gateway does on UDP 161.
web_policy() {
    cat <<YAML
policy:
  use: $1
  filterLists:
    - name: web
      filters:
        - {source: my-address, destination: 192.0.2.11, protocol: tcp, destinationPort: 80}
        - {source: 192.0.2.11, destination: my-address, protocol: udp, destinationPort: 161}
        - {source: "$GUEST_OUTER_6", destination: my-address, protocol: udp, destinationPort: 161}
  rules:
    - {name: web, filterList: web, filterAction: $2, connection: lan}
YAML
}
# fetched LEAST MOST: the gateway's host gets the blob from the guest, and that many of its bytes come by SAs.
fetched() {
    local sum before after
    before=$(ipsec_bytes) || because "no statistics" || return 1
    sum=$(in_ns gateway curl -gsS -m 20 http://192.0.2.11/blob 2>&1 | sha256sum)
    after=$(ipsec_bytes) || because "no statistics" || return 1
    SECURED=$((${after#* } - ${before#* }))
    [ "${sum%% *}" = "$BLOB_SHA256" ] || because "the gateway does not get the blob: $(tail -n1 "$WORK/gateway.log")" || return 1
    ((SECURED >= $1 && SECURED <= $2)) || because "of the blob, $SECURED bytes came by SAs, not $1 to $2"
}
# answered ADDRESS: the guest asks the gateway's UDP port 161, and hears.
answered() {
    local asked pid
    # By no function, which would be a process of its own and leave this one behind.
    ip netns exec "$PREFIX-gateway" /usr/bin/python3 -c 'import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 161))
s.settimeout(60)
while True:
    data, peer = s.recvfrom(2000)
    s.sendto(data[::-1], peer)' >/dev/null 2>&1 &
    pid=$!
    asked='import socket, sys
family, address = socket.getaddrinfo(sys.argv[1], 161, type=socket.SOCK_DGRAM)[0][::4]
s = socket.socket(family, socket.SOCK_DGRAM)
s.settimeout(1)
for time in range(8):
    s.sendto(b"question", address)
    try: print(s.recv(99).decode()); break
    except OSError: pass'
    in_guest direct 15 "python3 -c $(printf %q "$asked") $1"
    end_process $pid
    [ "$ANSWER" = noitseuq ] || because "UDP 161 of $1 does not answer: $ANSWER"
}
# pinged: the guest and the gateway's host reach each other, and nothing of that by SAs.
pinged() {
    local before after
    before=$(ipsec_bytes)
    in_ns gateway ping -q -c2 -i0.2 -W2 192.0.2.11 >"$WORK/pings" || because "no ping in clear: $(<"$WORK/pings")" || return 1
    in_guest direct 10 'ping -q -c2 -i0.2 -W2 192.0.2.1' || because "no ping in clear: $ANSWER" || return 1
    after=$(ipsec_bytes)
    [ "$before" = "$after" ] || because "pings went by SAs: $before before, $after after"
}

case_policy() {
    local blob=$((BLOB_MEGABYTES * 1000000)) setup version6
    setup=$(settings CLIENT=strongswan MODE=transport \
        NETWORKS="192.0.2.11/32[tcp/80]=192.0.2.1/32[tcp] 192.0.2.11/32[udp]=192.0.2.1/32[udp/161]")
    # Security is required: the gateway's own packet starts the SAs.
    restart "$(web_policy secure-server require-security)" && guests direct || return 1
    in_guest direct 30 "hang_up; networks_up; $setup $(printf 'ipsec_configure %q' "$PSK")" || because "$ANSWER" || return 1
    fetched $blob $((blob * 2)) && kernel_has direct aes256-sha1 transport || return 1
    # What the guest sends in clear is not heard.
    in_guest direct 15 "swanctl --initiate --child networks2 --timeout 10" || because "no SAs for UDP: $ANSWER" || return 1
    answered $GATEWAY_OUTER && pinged || return 1
    DETAILS="required: $SECURED bytes by SAs"
    version6=$(settings CLIENT=strongswan MODE=transport GATEWAY=$GATEWAY_OUTER_6 ADDRESS=$GUEST_OUTER_6 \
        NETWORKS="$GUEST_OUTER_6/128[udp]=$GATEWAY_OUTER_6/128[udp/161]")
    in_guest direct 40 "ipsec_down; $version6 $(printf 'ipsec_configure %q' "$PSK") && ipsec_up" ||
        because "no SAs in IPv6: $ANSWER" || return 1
    answered $GATEWAY_OUTER_6 || return 1
    # Nothing of it stays in the system.
    gateway_end
    gateway_footprint >"$WORK/footprint.after" 2>&1
    cmp -s "$WORK/footprint.before" "$WORK/footprint.after" ||
        because "left behind: $(diff "$WORK/footprint.before" "$WORK/footprint.after" | grep '^[<>]')" || return 1
    # Only granted: in clear, until the client asks.
    restart "$(web_policy client respond-only)" || return 1
    fetched 0 0 || return 1
    in_guest direct 10 'ip xfrm state' && [ -z "$ANSWER" ] || because "there are SAs: $ANSWER" || return 1
    in_guest direct 30 "$setup $(printf 'ipsec_configure %q' "$PSK") && ipsec_up" || because "the guest gets no SAs: $ANSWER" || return 1
    fetched $blob $((blob * 2)) && answered $GATEWAY_OUTER || return 1
    DETAILS+="; granted: none before the client asked, then $SECURED"
    # L2TP of a client without IPsec.
    restart 'policy: {use: server}' || return 1
    in_guest direct 30 "ppp_configure $ALICE $ALICE_PASSWORD && ppp_up 15" || because "server does not let it in: $ANSWER" || return 1
    sessions_number 1 || because "no session: $(sessions 2>&1)" || return 1
    restart || return 1
    ! in_guest direct 20 "ppp_up 4" || because "secure-server lets it in" || return 1
    sessions_number 0 || because "there is a session: $(sessions 2>&1)" || return 1
    DETAILS+="; L2TP in clear: with server, not with secure-server"
    guest_kill direct
}
