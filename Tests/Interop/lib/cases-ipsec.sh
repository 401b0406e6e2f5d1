# The cases about IPsec itself: volumes counted to the byte. Sourced, never run.

CASES+=(
    "kilobytes-500|SAs of 1 MB are renewed hundreds of times in one stream, and all counters agree to the byte"
    "networks|networks behind strongSwan and libreswan are joined to ours, whoever begins, in IPv4 and IPv6"
)

STREAM_BLOBS=1         # how often the blob is in the stream down; --long: 25, which are 500 MB
STREAM_LIMIT=1000k     # bytes per second: the more, the likelier an SA is at its end before a busy machine has its successor

# ipsec_bytes: what the gateway's SAs have sent and received, by its statistics.
ipsec_bytes() {
    culvert statistics --json >"$WORK/statistics.json" && /usr/bin/python3 -c 'import json, sys
ipsec = json.load(open(sys.argv[1]))["ipsec"]
print(ipsec["confidentialBytesSent"], ipsec["confidentialBytesReceived"])' "$WORK/statistics.json"
}

# agreed: the session's counters are those of the client's link: what went up to the byte, what went down to the packet that
# the client's own kernel did not drop.
agreed() {
    local -a client session
    in_guest direct 5 link_counters && read -ra client <<<"$ANSWER" && read -ra session <<<"$(sessions)" || return 1
    UP_BYTES=$((session[6] - SESSION[6])) DOWN_BYTES=$((session[7] - SESSION[7]))
    UP=$((session[8] - SESSION[8])) DOWN=$((session[9] - SESSION[9])) DROPPED=$((client[4] - CLIENT[4]))
    CLIENT_UP_BYTES=$((client[1] - CLIENT[1])) CLIENT_DOWN_BYTES=$((client[0] - CLIENT[0]))
    CLIENT_UP=$((client[3] - CLIENT[3])) CLIENT_DOWN=$((client[2] - CLIENT[2]))
    [ $UP_BYTES = $CLIENT_UP_BYTES ] && [ $UP = $CLIENT_UP ] && [ $DOWN = $((CLIENT_DOWN + DROPPED)) ]
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
    # The receiver's window bounds how much comes at once, so that no SA is at its end before its successor is there.
    sum=$(for ((row = 0; row < STREAM_BLOBS; row++)); do cat "$WORK/blob"; done | sha256sum)
    in_guest direct 1200 "echo 4096 65536 131072 >/proc/sys/net/ipv4/tcp_rmem
        stream_down $STREAM_BLOBS --limit-rate $STREAM_LIMIT && transfer up --limit-rate $STREAM_LIMIT" ||
        because "the stream failed: $ANSWER" || return 1
    [ "${ANSWER%%$'\n'*}" = "$sum" ] || because "the bytes that went down are not those that were sent: $ANSWER" || return 1
    ANSWER=${ANSWER#*$'\n'}
    moved direct 1 || return 1
    phase2=$(tail -c "+$mark" "$log" | grep -c 'CHILD_SA l2tp.* established')
    # Each way counts of its own, and the half of an SA's life is the earliest at which its successor is asked for.
    wanted=$(((STREAM_BLOBS + 1) * BLOB_MEGABYTES))
    ((phase2 >= wanted)) || because "phase 2 only $phase2 times in $wanted MB" || return 1
    grown=$(dropped_since "$before" | sed -E 's/path\.(natKeepalive|notIPv4) \+[0-9]+ //g')
    [ -z "$grown" ] || because "the gateway dropped $grown" || return 1
    within 5 agreed
    good=$?
    figures="up $UP_BYTES bytes in $UP packets at the gateway, $CLIENT_UP_BYTES in $CLIENT_UP at the client; down $DOWN_BYTES in"
    figures+=" $DOWN at the gateway, $CLIENT_DOWN_BYTES in $CLIENT_DOWN at the client, whose IPsec dropped $DROPPED"
    [ $good = 0 ] || because "the counters do not agree: $figures" || return 1
    DETAILS="phase 2 established $phase2 times; $figures$DETAILS"
    # What the client's SAs have carried up, those that have ended included, against what came by ours.
    in_guest direct 10 sa_bytes && own=$ANSWER && figures=$(ipsec_bytes) ||
        because "no counters of SAs: $ANSWER $figures" || return 1
    [ "$own" = "${figures#* }" ] || because "the client's SAs sent $own bytes, and ${figures#* } came by ours" || return 1
    DETAILS+="; SAs: $own bytes sent by the client's and received by the gateway's"
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
    DETAILS=${DETAILS#; }
    guest_kill direct
    restart
}
