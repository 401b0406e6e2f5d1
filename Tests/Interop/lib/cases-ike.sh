# The cases about IKE and what lies on the way: libreswan, certificates, rekeys under traffic, NATs that change, floods.
# Sourced, never run.

CASES+=(
    "libreswan|libreswan behind a NAT dials in, works and hangs up"
    "certificates|a revoked, an expired, a foreign and a wrongly named certificate are refused, each with its reason"
    "rekey-strongswan|strongSwan renews both phases every 10 s under a stream each way, and no packet is lost"
    "rekey-libreswan|libreswan renews both phases every 10 s under a stream each way, and no packet is lost"
    "kilobytes|the gateway renews SAs of 8 MB during 20 MB each way, and drops nothing"
    "nat-changes|the NAT gives the client another port, then another address, and its session goes on"
    "killed|a client is killed and dials at once from its old port, with and without INITIAL-CONTACT, with and without NAT"
    "port-map|the gateway behind a port map: a client without a NAT of its own, and one behind one"
    "dpd|the client's questions are answered while nothing else happens, and the gateway's notice a client that vanished"
    "flood|thousands of forged first messages, garbage, repetitions: no amplification, and a client still gets in"
)

REKEY_SECONDS=30 IDLE_SECONDS=15 FLOOD_SECONDS=8 # --long: 180, 60, 30
STREAM_RATE=50
# How many packets a short run may lose that neither the gateway nor the client has dropped: on a busy machine the guest's
# emulated network card does. A long run may lose none.
STREAM_LOSS=2
FLOOD_GROWTH_KB=16384 # 4 KB for each of 4096 half-open exchanges, which the allocator keeps

# restart [YAML]: the gateway anew, with this in its configuration file, and no guest dialled in.
restart() {
    local name
    [ "$GATEWAY_EXTRA" != "${1:-}" ] || { gateway_alive && return; }
    for name in "${!GUEST_PID[@]}"; do in_guest "$name" 15 hang_up; done
    gateway_end
    GATEWAY_EXTRA=${1:-}
    gateway_start
}

# drops: what the gateway dropped so far, a line of `name count` for each reason.
drops() {
    culvert statistics --json >"$WORK/statistics.json" && /usr/bin/python3 -c 'import json, sys
for name, count in json.load(open(sys.argv[1]))["drops"].items(): print(name, count)' "$WORK/statistics.json" | sort
}
# dropped_since FILE: the reasons whose count is another than in FILE, with what came in addition.
dropped_since() {
    drops | awk 'NR == FNR { before[$1] = $2; next } $2 != before[$1] { printf "%s +%d ", $1, $2 - before[$1] }' "$1" -
}

case_libreswan() {
    restart && connect nat1 $ALICE $ALICE_PASSWORD CLIENT=libreswan || return 1
    DETAILS=${INNER[nat1]}
    works nat1 || return 1
    hang_up nat1 && no_sessions 3
}

# refused_certificate NAME REASON
refused_certificate() {
    log_mark
    ! in_guest direct 40 "$(settings AUTHENTICATION="certificate:$1") ipsec_configure unused && ipsec_up 2" ||
        because "the $1 certificate got in" || return 1
    within 3 log_has "refused.*reason=$2" ||
        because "the $1 certificate: no $2 in $(tail -c "+$LOG_MARK" "$WORK/gateway.log" | grep refused)" || return 1
    [ "$(newest_failure)" = "$2" ] || because "the newest of culvert failures is $(newest_failure), not $2" || return 1
    in_guest direct 10 ipsec_down
    DETAILS+="$1: $2; "
}
case_certificates() {
    restart "$(pki_config)" && guests direct && hang_up direct || return 1
    refused_certificate revoked certificateRevoked && refused_certificate expired certificateExpired &&
        refused_certificate foreign unknownAuthority && refused_certificate stranger wrongName || return 1
    connect direct $ALICE $ALICE_PASSWORD AUTHENTICATION=certificate:chained || return 1
    in_guest direct 30 pings || because "pings are lost: $ANSWER" || return 1
    DETAILS+="and a good one gets in"
    hang_up direct && restart
}

# streams GUEST SECONDS: a numbered stream each way at the same time; judges losses end to end and drops at the gateway.
streams() {
    local name=$1 listener up down before=$WORK/drops.before grown lost
    drops >"$before"
    in_ns inside /usr/bin/python3 "$here/guest/stream" listen $SERVER_INSIDE 9000 "$2" $STREAM_RATE \
        >"$WORK/stream.inside" 2>&1 </dev/null &
    listener=$!
    in_guest "$name" $(($2 + 30)) "python3 ./stream call $SERVER_INSIDE 9000 $2 $STREAM_RATE" ||
        because "the stream in $name: $ANSWER" || { end_process $listener; return 1; }
    wait $listener || because "the stream inside: $(<"$WORK/stream.inside")" || return 1
    read -ra up <<<"$ANSWER"
    read -ra down <"$WORK/stream.inside"
    # sent N received N repeated N longest-silence N own N
    lost=$((up[1] - down[3] + down[1] - up[3]))
    DETAILS+="$((up[1] - down[3])) of ${up[1]} up and $((down[1] - up[3])) of ${down[1]} down were lost, "
    DETAILS+="longest silence ${up[7]} and ${down[7]} ms"
    [ $lost = 0 ] || DETAILS+=", ${up[9]} of these by the client's own kernel"
    [ $((up[5] + down[5])) = 0 ] || because "packets came twice: $DETAILS" || return 1
    # A NAT's keepalive carries nothing, and what is not IPv4 is the gateway's own kernel looking for IPv6 routers.
    grown=$(dropped_since "$before" | sed -E 's/path\.(natKeepalive|notIPv4) \+[0-9]+ //g')
    [ -z "$grown" ] || because "the gateway dropped $grown($DETAILS)" || return 1
    # What a client refuses itself while it changes from one SA to the next, which libreswan does now and then, is not ours.
    [ $lost -le $((up[9] + STREAM_LOSS)) ] || because "packets are lost: $DETAILS"
}
# rekeys CLIENT LOG PHASE-1-PATTERN PHASE-2-PATTERN
rekeys() {
    local log mark=1 phase1 phase2 before wanted=$((REKEY_SECONDS / 10 - 1))
    guests direct && hang_up direct || return 1
    log=${GUEST_JOB[direct]}/$2
    [ ! -e "$log" ] || mark=$(($(stat -c %s "$log") + 1))
    connect direct $ALICE $ALICE_PASSWORD CLIENT="$1" REKEY='10 10' || return 1
    before=$(field 1 $ALICE)
    streams direct "$REKEY_SECONDS" || return 1
    phase1=$(tail -c "+$mark" "$log" | grep -cE "$3")
    phase2=$(tail -c "+$mark" "$log" | grep -cE "$4")
    ((phase1 > wanted && phase2 > wanted)) || because "too few: phase 1 $phase1 times, phase 2 $phase2 times" || return 1
    [ "$(field 1 $ALICE)" = "$before" ] || because "the session $before ended: $(sessions 2>&1)" || return 1
    DETAILS="phase 1 established $phase1 times, phase 2 $phase2 times in $REKEY_SECONDS s; $DETAILS"
    hang_up direct && no_sessions 5
}
case_rekey_strongswan() { restart && rekeys strongswan charon.log 'IKE_SA gateway.* established' 'CHILD_SA l2tp.* established'; }
case_rekey_libreswan() { restart && rekeys libreswan pluto.log 'IKE SA established|ISAKMP SA established' 'IPsec SA established'; }

case_kilobytes() {
    local log mark=1 phase2 before=$WORK/drops.before grown
    restart 'lifetimes: {ipsecKilobytes: 8000}' && guests direct && hang_up direct || return 1
    log=${GUEST_JOB[direct]}/charon.log
    [ ! -e "$log" ] || mark=$(($(stat -c %s "$log") + 1))
    connect direct $ALICE $ALICE_PASSWORD || return 1
    drops >"$before"
    works direct || return 1
    grown=$(dropped_since "$before" | sed -E 's/path\.(natKeepalive|notIPv4) \+[0-9]+ //g')
    [ -z "$grown" ] || because "the gateway dropped $grown" || return 1
    phase2=$(tail -c "+$mark" "$log" | grep -c 'CHILD_SA l2tp.* established')
    ((phase2 >= 6)) || because "phase 2 only $phase2 times" || return 1
    DETAILS="phase 2 established $phase2 times$DETAILS"
    hang_up direct && no_sessions 5 && restart
}

# moved_on ADDRESS: the session of Alice goes on from there, from another port, and IKE speaks from there, too.
moved_on() {
    local before after begun
    read -ra before <<<"$BEFORE"
    begun=$(milliseconds)
    elsewhere() {
        read -ra after <<<"$(sessions)"
        [ "${after[2]:-} ${after[0]:-}" = "$1 ${before[0]}" ] && [ "${after[2]} ${after[3]}" != "${before[2]} ${before[3]}" ]
    }
    guest_begin nat1 'ping -q -c20 -i0.3 -W2 "$INSIDE"'
    within 8 elsewhere "$1" || because "not one session at $1: $(sessions 2>&1), before $BEFORE" || return 1
    DETAILS+="${before[2]}:${before[3]} -> ${after[2]}:${after[3]} after $(in_seconds $(($(milliseconds) - begun))) s, "
    guest_end nat1 20 && [[ $ANSWER =~ ' '(0|5)'% packet loss' ]] || because "pings are lost: $ANSWER" || return 1
    in_guest nat1 20 'swanctl --rekey --child l2tp && ping -q -c6 -i0.5 -W2 "$INSIDE"' ||
        because "no renewal by the new way: $ANSWER" || return 1
    BEFORE=$(sessions)
}
case_nat_changes() {
    restart && connect nat1 $ALICE $ALICE_PASSWORD || return 1
    BEFORE=$(sessions)
    router_nat router-a 'masquerade to :20000-29999'
    moved_on $ROUTER_A || return 1
    ip_in router-a addr add $ROUTER_A_SECOND/24 dev wan
    router_nat router-a "snat to $ROUTER_A_SECOND:30000-39999"
    moved_on $ROUTER_A_SECOND || return 1
    # What the gateway begins reaches it there, too.
    guest_begin nat1 'ppp_noticed 5'
    culvert drop --user $ALICE >/dev/null
    guest_end nat1 10 || because "culvert drop does not reach the client any more" || return 1
    DETAILS+="culvert drop reaches it there"
    router_nat router-a masquerade
    ip_in router-a addr del $ROUTER_A_SECOND/24 dev wan
    hang_up nat1 && no_sessions 3
}

case_killed() {
    local place kind contact begun
    restart || return 1
    for place in direct nat1; do
        for kind in strongswan:yes strongswan:no libreswan:yes; do
            contact=${kind#*:} kind=${kind%:*}
            [ "$LONG" = yes ] || [ $place-$kind-$contact = nat1-strongswan-no ] ||
                [ $place-$kind-$contact = direct-libreswan-yes ] || continue
            guests $place && hang_up $place || return 1
            connect $place $ALICE $ALICE_PASSWORD CLIENT=$kind INITIAL_CONTACT=$contact || return 1
            in_guest $place 20 vanish || because "the client cannot vanish: $ANSWER" || return 1
            begun=$(milliseconds)
            connect $place $ALICE $ALICE_PASSWORD CLIENT=$kind INITIAL_CONTACT=$contact || return 1
            DETAILS+="$place $kind INITIAL-CONTACT $contact: in after $(in_seconds $(($(milliseconds) - begun))) s; "
            in_guest $place 30 pings || because "pings are lost: $ANSWER" || return 1
            within 10 sessions_number 1 || because "the lost session is still there: $(sessions 2>&1)" || return 1
            hang_up $place && no_sessions 3 || return 1
        done
    done
    DETAILS=${DETAILS%; }
}

case_port_map() {
    local name
    restart "publicAddress: $FRONT_OUTER" || return 1
    for name in direct nat1; do
        guests $name && hang_up $name && in_guest $name 10 ppp_end || return 1
        connect $name $ALICE $ALICE_PASSWORD GATEWAY=$FRONT_OUTER || return 1
        DETAILS+="; $name as $(field 3 $ALICE):$(field 4 $ALICE)"
        works $name || return 1
        [ "$(field 4 $ALICE)" != 0 ] || because "not in UDP: $(sessions 2>&1)" || return 1
        hang_up $name && in_guest $name 10 ppp_end && no_sessions 3 || return 1
    done
    DETAILS=${DETAILS#; }
    restart
}

# silent GUEST CLIENT: SAs and a tunnel, in which nothing happens for IDLE_SECONDS, are still there afterwards.
silent() {
    in_guest "$1" 60 "$(settings "${@:2}") $(printf 'ipsec_configure %q' "$PSK") && ipsec_up && probe up" ||
        because "$1 cannot dial in: $ANSWER" || return 1
    sleep $IDLE_SECONDS
    culvert tunnels --json | grep -q '"hostName"' || because "the tunnel ended: $(tail -n1 "$WORK/gateway.log")"
}
case_dpd() {
    local log mark asked answered begun
    restart && guests direct && hang_up direct && in_guest direct 10 ppp_end || return 1
    in_guest direct 20 "$(settings) ipsec_configure unused" # charon runs, and has its log
    log=${GUEST_JOB[direct]}/charon.log mark=$(($(stat -c %s "${GUEST_JOB[direct]}/charon.log") + 1))
    silent direct CLIENT=strongswan DPD_SECONDS=3 || return 1
    asked=$(tail -c "+$mark" "$log" | grep -c 'sending DPD request')
    answered=$(tail -c "+$mark" "$log" | grep -c 'parsed INFORMATIONAL_V1 .*N(DPD_ACK)')
    ((asked >= IDLE_SECONDS / 6 && answered >= asked - 1 && answered <= asked)) ||
        because "$answered of $asked questions were answered" || return 1
    DETAILS="$answered of strongSwan's $asked questions answered in $IDLE_SECONDS s; "
    in_guest direct 20 'probe down; ipsec_down' || because "cannot hang up: $ANSWER" || return 1
    if [ "$LONG" = yes ]; then
        # It would give up after four times its interval, were its questions not answered.
        silent direct CLIENT=libreswan DPD_SECONDS=3 || return 1
        in_guest direct 20 'ip xfrm state' && [ -n "$ANSWER" ] || because "libreswan gave up" || return 1
        in_guest direct 20 'probe down; ipsec_down' || because "cannot hang up: $ANSWER" || return 1
        DETAILS+="libreswan's, too; "
    fi
    # And the other way.
    restart 'deadPeerDetection: {interval: 4, attempts: 3, pause: 2}' || return 1
    mark=$(($(stat -c %s "$log") + 1))
    silent direct CLIENT=strongswan || return 1
    asked=$(tail -c "+$mark" "$log" | grep -c 'parsed INFORMATIONAL_V1 .*N(DPD)')
    ((asked >= IDLE_SECONDS / 6)) || because "the gateway asked $asked times in $IDLE_SECONDS s" || return 1
    in_guest direct 20 vanish || because "the client cannot vanish: $ANSWER" || return 1
    begun=$(milliseconds)
    log_mark
    within 20 log_has 'IKE peer does not answer' || because "the gateway does not notice a dead client in 20 s" || return 1
    within 2 log_has 'tunnel ended.*peer is gone' || because "its tunnel does not end" || return 1
    DETAILS+="the gateway asked $asked times, and noticed the dead client after $(in_seconds $(($(milliseconds) - begun))) s"
    guest_kill direct
    restart
}

# judged KIND LINE: what Tests/Interop/flood printed, judged.
judged() {
    local line
    read -ra line <<<"$2"
    # sent N answered N answers-per-question N largest-ratio R seconds S
    [ "${line[0]:-}" = sent ] || because "flood $1: $2" || return 1
    awk -v answers="${line[5]}" -v ratio="${line[7]}" 'BEGIN { exit !(answers <= 1 && ratio <= 1.5) }' ||
        because "flood $1 is amplified: $2" || return 1
    DETAILS+="$1: ${line[1]} sent, ${line[3]} answered, ratio ${line[7]}; "
}
flood() { in_ns flood /usr/bin/python3 "$here/flood" wan $GATEWAY_OUTER "$@" 2>&1; }
resident() { awk '$1 == "VmRSS:" { print $2 }' "/proc/$GATEWAY_PID/status"; }
case_flood() {
    local kind before peak after begun flooder
    restart && guests direct && hang_up direct || return 1
    for kind in garbage replayed one; do judged $kind "$(flood $kind 3000 1500)" || return 1; done
    before=$(resident)
    flood first $((FLOOD_SECONDS * 3000)) 3000 >"$WORK/flood.first" &
    flooder=$!
    sleep 2
    begun=$(milliseconds)
    connect direct $ALICE $ALICE_PASSWORD || return 1
    DETAILS+="under 3000 first messages a second a client is in after $(in_seconds $(($(milliseconds) - begun))) s; "
    kill -0 $flooder 2>/dev/null || because "the flood was over before the client was in" || return 1
    in_guest direct 30 pings || because "pings are lost under the flood: $ANSWER" || return 1
    wait $flooder
    judged first "$(<"$WORK/flood.first")" || return 1
    hang_up direct && no_sessions 3 || return 1
    # What the first flood took, the second one must find: memory has its limit.
    peak=$(resident)
    judged first "$(flood first 12000 3000)" && judged half-open "$(flood first 2000 2000)" || return 1
    after=$(resident)
    DETAILS+="resident $before kB before, $peak after the first flood, $after after the second"
    ((peak < before + FLOOD_GROWTH_KB && after < peak + FLOOD_GROWTH_KB / 8)) || because "memory grows: $DETAILS" || return 1
    [ "$LONG" = yes ] || return 0
    half_open_gone() { culvert statistics --json | grep -qE '"ike.halfOpen" ?: ?0\b'; }
    within 60 half_open_gone || because "half-open exchanges stay" || return 1
}
