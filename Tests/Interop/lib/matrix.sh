# The lines of the matrix: one dial each. Sourced, never run.
#
#   CLIENT|PLACE|EXCHANGE|AUTHENTICATION|IKE PROPOSAL|ESP PROPOSAL|FRAGMENTS|DEPTH
#
# AUTHENTICATION: psk, group (the key of a group, by its name), or certificate:NAME, one of lib/pki.sh.
# PLACE is a guest: direct, or nat1 behind a masquerading router. The ESP proposal names a group for PFS. FRAGMENTS is the
# size that IKE messages are forced into, or `-`. DEPTH: `sa` proves the SAs by an L2TP tunnel through them, `ppp` goes on
# to an address and pings of all sizes; `tunnel` is `ppp` in tunnel mode; `networks` is traffic both ways between a network
# behind the client and one behind the gateway. What is deeper than `sa` looks at the transforms in the client's kernel, too.

MATRIX=()
matrix_line() { MATRIX+=("$(IFS='|'; echo "$*")"); }

matrix_groups() { # CLIENT GROUP...: each without PFS and without NAT, and with both
    local client=$1 group pfs hash hashes=(sha256 sha384 sha512 sha1) number=0
    shift
    for group in "$@"; do
        hash=${hashes[number++ % 4]} pfs=-$group
        # libreswan knows no elliptic curves in an IKEv1 phase 2.
        [[ $client-$group != libreswan-[ec]* ]] || pfs=''
        matrix_line "$client" direct main psk "aes256-$hash-$group" aes256-sha1 - sa
        matrix_line "$client" nat1 main psk "aes128-$hash-$group" "aes128-sha256$pfs" - sa
    done
}
matrix_ciphers() { # CLIENT
    local suite
    for suite in 3des-md5:3des-md5 3des-sha1:3des-sha1 aes128-md5:aes128-md5 aes128-sha1:aes192-sha1 \
        aes192-sha256:aes192-sha256 aes192-sha384:aes256-sha384 aes256-sha512:aes256-sha512 aes256-sha1:aes128gcm16 \
        aes256-sha256:aes192gcm16 aes256-sha384:aes256gcm16; do
        matrix_line "$1" direct main psk "${suite%:*}-modp2048" "${suite#*:}" - sa
    done
}
matrix_certificates() { # CLIENT NAME...
    local client=$1 name place
    shift
    for name in "$@"; do
        for place in direct nat1; do
            matrix_line "$client" $place main "certificate:$name" aes256-sha256-modp2048 aes256-sha256 - sa
        done
    done
}
matrix_fragments() { # CLIENT BYTES CERTIFICATE...
    local client=$1 bytes=$2 place authentication
    shift 2
    for authentication in psk "${@/#/certificate:}"; do
        for place in direct nat1; do
            matrix_line "$client" $place main "$authentication" aes256-sha256-modp4096 aes256-sha256-modp4096 "$bytes" sa
        done
    done
}
matrix_aggressive() { # CLIENT BYTES CERTIFICATE...
    local client=$1 bytes=$2 place authentication
    shift 2
    for authentication in psk group "${@/#/certificate:}"; do
        for place in direct nat1; do
            matrix_line "$client" $place aggressive "$authentication" aes256-sha256-modp2048 aes256-sha256-modp2048 - sa
        done
    done
    for authentication in group certificate:rsa4096; do
        matrix_line "$client" direct aggressive "$authentication" aes256-sha1-modp4096 aes256-sha256 "$bytes" sa
    done
    matrix_line "$client" nat1 aggressive group 3des-sha1-modp1536 3des-sha1 - ppp
}
matrix_whole() { # CLIENT: a dial of each kind, all the way
    local place
    for place in direct nat1; do
        matrix_line "$1" $place main psk aes256-sha256-ecp256 aes128gcm16 - ppp
        matrix_line "$1" $place main certificate:rsa4096 aes256-sha384-modp3072 aes256-sha512-modp2048 400 ppp
    done
}

matrix_transforms() { # CLIENT TRANSFORM...: each for L2TP in transport mode, and for networks in tunnel mode
    local client=$1 transform
    shift
    for transform in "$@"; do
        matrix_line "$client" direct main psk aes256-sha256-modp2048 "$transform" - ppp
        matrix_line "$client" direct main psk aes256-sha256-modp2048 "$transform" - networks
    done
}
matrix_tunnel() { # CLIENT: L2TP in tunnel mode
    local place transform
    for place in direct nat1; do
        for transform in aes256-sha1 aes128gcm16 aes256-sha256; do
            matrix_line "$1" $place main psk aes256-sha256-modp2048 $transform - tunnel
        done
    done
}
# What the guests' kernel, both clients in IKEv1 and the gateway have.
TRANSFORMS=(
    null-sha1 null-sha256 3des-md5 3des-sha1 aes128-md5 aes192-sha1 aes256-sha256 aes256-sha384 aes256-sha512
    aes128-aesxcbc aes128ctr-sha1 aes192ctr-sha256 aes256ctr-sha512
    aes128gcm8 aes192gcm8 aes256gcm8 aes128gcm12 aes192gcm12 aes256gcm12 aes128gcm16 aes192gcm16 aes256gcm16
    aes128ccm8 aes192ccm8 aes256ccm8 aes128ccm12 aes192ccm12 aes256ccm12 aes128ccm16 aes192ccm16 aes256ccm16
    aes256-sha1+deflate aes128gcm16+deflate
    ah-md5 ah-sha1 ah-sha256 ah-sha384 ah-sha512 ah-aesxcbc
)

matrix_lines() {
    matrix_groups strongswan modp768 modp1024 modp1536 modp2048 modp3072 modp4096 modp6144 modp8192 ecp256 ecp384 ecp521 \
        curve25519
    matrix_ciphers strongswan
    matrix_certificates strongswan "${PKI_CLIENTS[@]}"
    matrix_fragments strongswan 400 rsa4096 chained p521
    matrix_aggressive strongswan 400 rsa2048 chained p256 p521
    matrix_whole strongswan
    # libreswan has none of these in IKEv1.
    matrix_transforms strongswan "${TRANSFORMS[@]}" des-sha1 aes256-sha256-esn aes128gcm16-esn
    matrix_tunnel strongswan
    # Built without groups of fewer bits; no ECDSA in IKEv1; its fragments are of 576 bytes.
    matrix_groups libreswan modp1536 modp2048 modp3072 modp4096 modp6144 modp8192 ecp256 ecp384 ecp521 curve25519
    matrix_ciphers libreswan
    matrix_certificates libreswan rsa2048 rsa4096 chained
    matrix_fragments libreswan 576 rsa4096 chained
    # It sends no intermediate's certificate in aggressive mode.
    matrix_aggressive libreswan 576 rsa2048
    matrix_whole libreswan
    matrix_transforms libreswan "${TRANSFORMS[@]}"
    matrix_tunnel libreswan
}
