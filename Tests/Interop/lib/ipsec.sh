# Which transforms a guest's kernel has. Returns 0, or calls `because REASON` and returns 1. Sourced, never run.

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
