# The cases, in the order in which they run; each leaves its guests as the next one wants them, but needs none of the
# others. A case returns 0, with figures in DETAILS, or calls `because REASON` and returns 1. Sourced, never run.

CASES=(
    "direct|dials without a NAT: an address of the pool, pings of all sizes, 20 MB each way"
    "sessions|culvert sessions and culvert tunnels say who, from where, since when and how much"
    "drop|culvert drop hangs up, and the client notices within 3 s"
    "redial|CHAP-MD5 and PAP in place of MS-CHAPv2, on the IPsec SA that is still there"
    "rekey|both phases are renewed during a transfer, and nothing is lost"
    "hang-up|the client hangs up, and no session is left"
    "bad-psk|a wrong PSK is refused, and the log says so"
    "bad-password|a wrong password is refused, and the log says so"
    "bad-user|an unknown user is refused, and the log says so"
    "plain-l2tp|L2TP without IPsec is not answered"
    "lost-client|a client that vanished dials again from the same address and is let in at once"
    "nat|the same as direct behind a masquerading router"
    "two-nat|two clients behind one router, both with L2TP source port 1701, work at the same time"
    "two-nats|two clients with the same private address behind two routers work at the same time"
    "operators|the statistics count a client's bytes, live and by the API, whose token for reading hangs nobody up"
    "sigterm|SIGTERM hangs up every client, ends within 3 s and leaves nothing behind"
    "environment|the settings come from VPN_* alone: clients are masqueraded, and nothing is left behind"
)

# ---- Cases ----------------------------------------------------------------------------------------------------------

case_direct() {
    connect direct $ALICE $ALICE_PASSWORD || return 1
    DETAILS=${INNER[direct]}
    works direct || return 1
    in_guest direct 5 'grep "primary *DNS address" pppd.log' && [[ $ANSWER == *"$SERVER_INSIDE"* ]] ||
        because "the client was not told the DNS server: $ANSWER"
}

case_sessions() {
    local row before after text
    connected direct $ALICE $ALICE_PASSWORD || return 1
    row=$(sessions) || because "culvert sessions --json: $(cat "$WORK/sessions.error")" || return 1
    read -ra before <<<"$row"
    [ "$(wc -l <<<"$row")" = 1 ] || because "not one session: $row" || return 1
    [ "${before[*]:1:2} ${before[4]}" = "$ALICE 192.0.2.11 ${INNER[direct]}" ] || because "wrong session: $row" || return 1
    # 20 MB up are 20 MB and the headers in, and the acknowledgements out.
    in_guest direct 60 'transfer up' || because "transfer failed: $ANSWER" || return 1
    counted() {
        row=$(sessions) && read -ra after <<<"$row" || return 1
        bytes_in=$((after[6] - before[6])) bytes_out=$((after[7] - before[7]))
        packets_in=$((after[8] - before[8])) packets_out=$((after[9] - before[9]))
        ((bytes_in >= BLOB_MEGABYTES << 20 && bytes_in < BLOB_MEGABYTES * 5 << 18)) &&
            ((bytes_out > 10000 && bytes_out < bytes_in / 4)) &&
            ((packets_in >= bytes_in / 1500 && packets_in < bytes_in / 700 && packets_out > 100))
    }
    local bytes_in=0 bytes_out=0 packets_in=0 packets_out=0
    within 5 counted || because "$BLOB_MEGABYTES MB up are counted as $bytes_in bytes ($packets_in packets) in," \
        "$bytes_out ($packets_out) out" || return 1
    text=$(culvert sessions 2>&1) && [[ $text == *$ALICE* && $text == *${INNER[direct]}* && $text == *192.0.2.11* ]] ||
        because "culvert sessions: $text" || return 1
    text=$(culvert tunnels 2>&1) && [[ $text == *192.0.2.11* ]] || because "culvert tunnels: $text" || return 1
    DETAILS="in $bytes_in bytes, $packets_in packets; out $bytes_out bytes, $packets_out packets"
}

case_operators() {
    local text before after own blob=$((BLOB_MEGABYTES << 20))
    own=$(realpath "$here/../Vectors/api")
    (umask 077 && openssl rand -hex 24 >"$WORK/read.token" && openssl rand -hex 24 >"$WORK/operate.token" &&
        printf 'monitor read %s\nadmin operate %s\n' "$(<"$WORK/read.token")" "$(<"$WORK/operate.token")" >"$WORK/tokens")
    restart "api: {listen: '127.0.0.1:8443', certificate: $own/server.pem, key: $own/server.key, tokenFile: $WORK/tokens}" ||
        return 1
    connect direct $ALICE $ALICE_PASSWORD || return 1
    # remote TOKEN SUBCOMMAND...: as culvert, by the API.
    remote() {
        ip netns exec "$PREFIX-gateway" timeout 10 "$CULVERT" "$2" --gateway https://127.0.0.1:8443 \
            --token-file "$WORK/$1.token" --ca "$own/ca.pem" "${@:3}"
    }
    # figures: associations, key additions, bytes of ESP received and sent, bytes of the sessions in and out.
    figures() {
        remote read statistics --json >"$WORK/statistics.json" && remote read sessions --json >"$WORK/sessions.json" &&
            /usr/bin/python3 -c 'import json, sys
s = json.load(open(sys.argv[1]))["ipsec"]
print(s["activeAssociations"], s["keyAdditions"], s["confidentialBytesReceived"], s["confidentialBytesSent"],
    *(sum(session[k] for session in json.load(open(sys.argv[2]))) for k in ("bytesIn", "bytesOut")))' \
                "$WORK/statistics.json" "$WORK/sessions.json"
    }
    text=$(figures 2>&1) && read -ra before <<<"$text" && [ ${#before[@]} = 6 ] || because "the API: $text" || return 1
    ((before[0] == 2 && before[1] == 2)) || because "not two SAs: $text" || return 1
    in_guest direct 60 'transfer up && transfer down' || because "transfer failed: $ANSWER" || return 1
    # Within ESP there are PPP, L2TP and UDP around what the session counts: 20 bytes or less for each packet.
    counted() {
        text=$(figures 2>&1) && read -ra after <<<"$text" && [ ${#after[@]} = 6 ] || return 1
        local in=$((after[4] - before[4])) out=$((after[5] - before[5]))
        local received=$((after[2] - before[2])) sent=$((after[3] - before[3]))
        ((in >= blob && out >= blob && received > in && received < in * 21 / 20 && sent > out && sent < out * 21 / 20))
    }
    within 5 counted || because "ESP's bytes are not the session's and a little more: $text, before ${before[*]}" || return 1
    timeout -s INT 3 ip netns exec "$PREFIX-gateway" "$CULVERT" statistics --watch --socket "$SOCKET" >"$WORK/watch" 2>&1
    (($(grep -c '^version' "$WORK/watch") >= 2)) && [ -z "$(tail -n1 "$WORK/watch")" ] ||
        because "culvert statistics --watch: $(tail -n3 "$WORK/watch")" || return 1
    text=$(remote read drop --all 2>&1) && because "a token for reading hung up: $text" && return 1
    sessions_number 1 || because "the session is gone: $text" || return 1
    text=$(remote operate drop --user $ALICE 2>&1) && within 5 sessions_number 0 || because "culvert drop: $text" || return 1
    DETAILS="ESP $((after[2] - before[2])) received and $((after[3] - before[3])) sent,"
    DETAILS+=" the session $((after[4] - before[4])) in and $((after[5] - before[5])) out"
    restart
}

case_drop() {
    local begun took text
    connected direct $ALICE $ALICE_PASSWORD || return 1
    guest_begin direct 'ppp_noticed 10'
    begun=$(milliseconds)
    text=$(culvert drop --user $ALICE 2>&1) || because "culvert drop --user $ALICE: $text" || return 1
    guest_end direct 15 || because "the client still has its ppp0 up 10 s after the drop" || return 1
    took=$(($(milliseconds) - begun))
    [ $took -le 3000 ] || because "the client noticed only after $(in_seconds $took) s" || return 1
    no_sessions 3 || return 1
    in_guest direct 10 'until_true 3 ipsec_gone' || because "the client still has its SAs after the drop" || return 1
    ! culvert drop --user $ALICE >/dev/null 2>&1 || because "dropping somebody who is not there succeeds" || return 1
    DETAILS="noticed after $(in_seconds $took) s"
}

case_redial() {
    local method refuse
    connected direct $ALICE $ALICE_PASSWORD || return 1
    for method in chap pap; do
        refuse='refuse-mschap refuse-mschap-v2 refuse-eap refuse-pap'
        [ $method = chap ] || refuse=${refuse/refuse-pap/refuse-chap}
        in_guest direct 30 "ppp_down; ppp_configure $ALICE $ALICE_PASSWORD $refuse && ppp_up &&
            ping -q -c2 -i0.3 -W2 \$INSIDE" || because "$method: $ANSWER" || return 1
        DETAILS+="$method ok, "
    done
    INNER[direct]='' # so that the next case dials as usual
    sessions_number 1 || because "not one session: $(sessions 2>&1)" || return 1
    DETAILS=${DETAILS%, }
    hang_up direct
}

case_rekey() {
    local before after log mark=1 phase1 phase2
    guests direct && hang_up direct || return 1
    log=${GUEST_JOB[direct]}/charon.log
    [ ! -e "$log" ] || mark=$(($(stat -c %s "$log") + 1))
    connect direct $ALICE $ALICE_PASSWORD REKEY="8 5" || return 1
    before=$(field 1 $ALICE)
    in_guest direct 90 'transfer down --limit-rate 1200k' || because "the transfer failed: $ANSWER" || return 1
    moved direct 1 || return 1
    phase1=$(tail -c "+$mark" "$log" | grep -c 'IKE_SA gateway.* established')
    phase2=$(tail -c "+$mark" "$log" | grep -c 'CHILD_SA l2tp.* established')
    ((phase1 >= 2 && phase2 >= 3)) ||
        because "too few rekeys: phase 1 was established $phase1 times, phase 2 $phase2 times" || return 1
    after=$(field 1 $ALICE)
    [ -n "$after" ] && [ "$before" = "$after" ] || because "the session $before became $after" || return 1
    in_guest direct 5 ppp_address && [ "$ANSWER" = "${INNER[direct]}" ] ||
        because "the client's ppp0 did not survive" || return 1
    DETAILS="phase 1 established $phase1 times, phase 2 $phase2 times$DETAILS"
    hang_up direct && no_sessions 5
}

case_hang_up() {
    connected direct $ALICE $ALICE_PASSWORD || return 1
    sessions_number 1 || because "not one session: $(sessions 2>&1)" || return 1
    hang_up direct && no_sessions 3
}

# The reason of the newest record of a dial-in that came to nothing.
newest_failure() { culvert failures --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["reason"])'; }

# refused PATTERN WHAT REASON: nobody is in, and the gateway's log and the newest of its failures say why.
refused() {
    local newest
    within 3 log_has "$1" || because "the gateway's log does not say $2" || return 1
    DETAILS="log: $(tail -c "+$LOG_MARK" "$WORK/gateway.log" | grep -iE -m1 -- "$1" | cut -c1-140)"
    newest=$(newest_failure) || because "culvert failures --json has no record" || return 1
    [[ $newest == "$3" ]] || because "the newest failure is $newest, not $3" || return 1
    sessions_number 0 || because "there is a session: $(sessions 2>&1)"
}

case_bad_psk() {
    guests direct && hang_up direct || return 1
    log_mark
    ! in_guest direct 40 'ipsec_configure wrong-one && ipsec_up 7' || because "the client got in" || return 1
    in_guest direct 10 ipsec_down
    grep -q 'parsed ID_PROT response 0 \[ KE' "${GUEST_JOB[direct]}/charon.log" ||
        because "the exchange did not get as far as the PSK" || return 1
    refused '(psk|pre-shared|preshared)' "that the PSK is wrong" preSharedKeyMismatch
}

case_bad_password() {
    guests direct && hang_up direct || return 1
    log_mark
    ! in_guest direct 60 "dial $(printf %q "$PSK") $ALICE wrong-one" || because "the client got in" || return 1
    [[ ${ANSWER,,} == *"authentication fail"* ]] || because "not refused by the password: $ANSWER" || return 1
    refused 'password' "that the password is wrong" wrongPassword || return 1
    hang_up direct
}

case_bad_user() {
    guests direct && hang_up direct || return 1
    log_mark
    ! in_guest direct 60 "dial $(printf %q "$PSK") nobody-here $ALICE_PASSWORD" || because "the client got in" || return 1
    [[ ${ANSWER,,} == *"authentication fail"* ]] || because "not refused by the user: $ANSWER" || return 1
    refused '(unknown|no such|user).*nobody-here|nobody-here.*(unknown|no such)' "that the user is unknown" \
        unknownUser || return 1
    hang_up direct
}

case_plain_l2tp() {
    guests direct && hang_up direct || return 1
    in_guest direct 10 'until_true 3 ipsec_gone; ip xfrm policy | grep 1701' &&
        { because "the client still has IPsec policies: $ANSWER" || return 1; }
    ! in_guest direct 30 "ppp_configure $ALICE $ALICE_PASSWORD && ppp_up 6" || because "the client got in" || return 1
    grep -q 'Connecting to host' "${GUEST_JOB[direct]}/xl2tpd.log" || because "the client did not try" || return 1
    sessions_number 0 || because "there is a session: $(sessions 2>&1)" || return 1
    hang_up direct
    # A tunnel that xl2tpd still tries to open would be in the way of the next dial.
    guest_kill direct
}

case_lost_client() {
    local begun
    connected direct $ALICE $ALICE_PASSWORD || return 1
    guest_kill direct
    guests direct || return 1
    begun=$(milliseconds)
    connect direct $ALICE $ALICE_PASSWORD || return 1
    DETAILS="in again $(in_seconds $(($(milliseconds) - begun))) s after it began to dial"
    in_guest direct 30 pings || because "pings are lost: $ANSWER" || return 1
    within 8 sessions_number 1 || because "the lost session is still there: $(sessions 2>&1)" || return 1
    hang_up direct && no_sessions 3
}

case_nat() {
    connect nat1 $ALICE $ALICE_PASSWORD || return 1
    DETAILS=${INNER[nat1]}
    works nat1 || return 1
    [ "$(field 3 $ALICE)" = $ROUTER_A ] || because "the session's outer address is not the router's: $(sessions 2>&1)"
}

# two GUEST GUEST: both in at once, and at work at once.
two() {
    guests "$1" "$2" || return 1
    connected "$1" $ALICE $ALICE_PASSWORD && connect "$2" $BOB $BOB_PASSWORD || return 1
    sessions_number 2 || because "not two sessions: $(sessions 2>&1)" || return 1
    [ "${INNER[$1]}" != "${INNER[$2]}" ] || because "both got ${INNER[$1]}" || return 1
    work_together "$1" "$2" || return 1
    DETAILS=${DETAILS#; }
}

case_two_nat() {
    two nat1 nat2 || return 1
    [ "$(field 3 $ALICE) $(field 3 $BOB)" = "$ROUTER_A $ROUTER_A" ] && [ "$(field 4 $ALICE)" != "$(field 4 $BOB)" ] ||
        because "the outer addresses are wrong: $(sessions 2>&1)" || return 1
    # One of them is dropped by its id, and the other one must not notice.
    culvert drop "$(field 1 $BOB)" >/dev/null || because "culvert drop ID failed" || return 1
    in_guest nat2 10 'ppp_noticed 3' || because "the client that was dropped still has its ppp0 up" || return 1
    in_guest nat1 20 'ping -q -c3 -i0.3 -W2 "$INSIDE"' || because "the other client is cut off as well: $ANSWER"
}

case_two_nats() {
    two nat1 far || return 1
    [ "$(field 3 $ALICE) $(field 3 $BOB)" = "$ROUTER_A $ROUTER_B" ] ||
        because "the outer addresses are wrong: $(sessions 2>&1)"
}

# end_gateway GUEST...: SIGTERM while these are dialled in.
end_gateway() {
    local name begun took
    for name in "$@"; do guest_begin "$name" 'ppp_noticed 10'; done
    begun=$(milliseconds)
    kill -TERM "$GATEWAY_PID"
    gateway_ended() { ! gateway_alive; }
    within 10 gateway_ended || because "the gateway is still there 10 s after SIGTERM" || return 1
    took=$(($(milliseconds) - begun))
    [ $took -le 3000 ] || because "the gateway took $(in_seconds $took) s to end" || return 1
    local status=0
    wait "$GATEWAY_PID" || status=$?
    GATEWAY_PID=''
    [ $status = 0 ] || because "the gateway ended with status $status" || return 1
    for name in "$@"; do
        guest_end "$name" 15 || because "$name still has its ppp0 up 10 s after SIGTERM" || return 1
    done
    local noticed=$(($(milliseconds) - begun))
    [ $noticed -le 4000 ] || because "the last client noticed after $(in_seconds $noticed) s" || return 1
    gateway_footprint >"$WORK/footprint.after" 2>&1
    cmp -s "$WORK/footprint.before" "$WORK/footprint.after" ||
        because "left behind: $(diff "$WORK/footprint.before" "$WORK/footprint.after" | grep '^[<>]')" || return 1
    [ ! -e "$SOCKET" ] || because "left behind: the socket" || return 1
    DETAILS+="ended after $(in_seconds $took) s, clients noticed"
}

case_sigterm() {
    guests nat1 far && connected nat1 $ALICE $ALICE_PASSWORD && connected far $BOB $BOB_PASSWORD || return 1
    end_gateway nat1 far
}

case_environment() {
    guests nat1 && hang_up nat1 || return 1
    gateway_end
    gateway_start VPN_IPSEC_PSK="$PSK" VPN_USER=$ALICE VPN_PASSWORD=$ALICE_PASSWORD VPN_DNS_SRV1=$SERVER_INSIDE \
        VPN_L2TP_NET=$INNER_NETWORK.0/24 VPN_L2TP_LOCAL=$INNER_NETWORK.1 \
        VPN_L2TP_POOL=$INNER_NETWORK.10-$INNER_NETWORK.250 || return 1
    connect nat1 $ALICE $ALICE_PASSWORD || return 1
    in_guest nat1 20 'curl -sS -m 10 "http://$INSIDE/"' || because "the inside is not reached: $ANSWER" || return 1
    [ "$ANSWER" = $GATEWAY_INSIDE ] || because "not masqueraded: the server sees $ANSWER" || return 1
    DETAILS="the server sees $ANSWER, "
    end_gateway nat1
}
