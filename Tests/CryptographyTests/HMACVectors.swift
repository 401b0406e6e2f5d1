/// Authentication codes as RFC 2202 and RFC 4231 publish them.
enum HMACVectors {
    /// HMAC-MD5, RFC 2202 section 2: cases 1 to 7.
    static let md5 = vectors(
        """
        key = 0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b
        message = 4869205468657265
        code = 9294727a3638bb1c13f48ef8158bfc9d

        key = 4a656665
        message = 7768617420646f2079612077616e7420666f72206e6f7468696e673f
        code = 750c783e6ab0b503eaa86e310a5db738

        key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        message = dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
            dddddddddddddddddddd
        code = 56be34521d144c88dbb8c733f0e8b3f6

        key = 0102030405060708090a0b0c0d0e0f10111213141516171819
        message = cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
            cdcdcdcdcdcdcdcdcdcd
        code = 697eaf0aca3a3aea3a75164746ffaa79

        key = 0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c
        message = 546573742057697468205472756e636174696f6e
        code = 56461ef2342edc00f9bab995690efd4c

        key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        message = 54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d20
            48617368204b6579204669727374
        code = 6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd

        key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        message = 54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b657920616e
            64204c6172676572205468616e204f6e6520426c6f636b2d53697a652044617461
        code = 6f630fad67cda0ee1fb1f562db3aa53e
        """)

    /// HMAC-SHA-1, RFC 2202 section 3: cases 1 to 7.
    static let sha1 = vectors(
        """
        key = 0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b
        message = 4869205468657265
        code = b617318655057264e28bc0b6fb378c8ef146be00

        key = 4a656665
        message = 7768617420646f2079612077616e7420666f72206e6f7468696e673f
        code = effcdf6ae5eb2fa2d27416d5f184df9c259a7c79

        key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        message = dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
            dddddddddddddddddddd
        code = 125d7342b9ac11cd91a39af48aa17b4f63f175d3

        key = 0102030405060708090a0b0c0d0e0f10111213141516171819
        message = cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
            cdcdcdcdcdcdcdcdcdcd
        code = 4c9007f4026250c6bc8414f9bf50c86c2d7235da

        key = 0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c
        message = 546573742057697468205472756e636174696f6e
        code = 4c1a03424b55e07fe7f27be1d58bb9324a9a5a04

        key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        message = 54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d20
            48617368204b6579204669727374
        code = aa4ae5e15272d00e95705637ce8a3b55ed402112

        key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        message = 54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b657920616e
            64204c6172676572205468616e204f6e6520426c6f636b2d53697a652044617461
        code = e8e99d0f45237d786d6bbaa7965c7808bbff1a91
        """)

    /// HMAC-SHA-256, RFC 4231 section 4: cases 1 to 7, of case 5 the first 16 bytes.
    static let sha256 = vectors(
        """
        key = 0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b
        message = 4869205468657265
        code = b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7

        key = 4a656665
        message = 7768617420646f2079612077616e7420666f72206e6f7468696e673f
        code = 5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843

        key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        message = dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
            dddddddddddddddddddd
        code = 773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe

        key = 0102030405060708090a0b0c0d0e0f10111213141516171819
        message = cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
            cdcdcdcdcdcdcdcdcdcd
        code = 82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b

        key = 0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c
        message = 546573742057697468205472756e636174696f6e
        code = a3b6167473100ee06e0c796c2955552b

        key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        message = 54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d20
            48617368204b6579204669727374
        code = 60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54

        key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        message = 5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b
            2d73697a65206b657920616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865
            206b6579206e6565647320746f20626520686173686564206265666f7265206265696e67207573656420627920746865
            20484d414320616c676f726974686d2e
        code = 9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2
        """)

    /// HMAC-SHA-384, RFC 4231 section 4: cases 1 to 7, of case 5 the first 16 bytes.
    static let sha384 = vectors(
        """
        key = 0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b
        message = 4869205468657265
        code = afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f
            4af152e8b2fa9cb6

        key = 4a656665
        message = 7768617420646f2079612077616e7420666f72206e6f7468696e673f
        code = af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c7
            8b3239ecfab21649

        key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        message = dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
            dddddddddddddddddddd
        code = 88062608d3e6ad8a0aa2ace014c8a86f0aa635d947ac9febe83ef4e55966144b2a5ab39dc13814b9
            4e3ab6e101a34f27

        key = 0102030405060708090a0b0c0d0e0f10111213141516171819
        message = cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
            cdcdcdcdcdcdcdcdcdcd
        code = 3e8a69b7783c25851933ab6290af6ca77a9981480850009cc5577c6e1f573b4e6801dd23c4a7d679
            ccf8a386c674cffb

        key = 0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c
        message = 546573742057697468205472756e636174696f6e
        code = 3abf34c3503b2a23a46efc619baef897

        key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        message = 54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d20
            48617368204b6579204669727374
        code = 4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c60c2ef6ab4030fe82
            96248df163f44952

        key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        message = 5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b
            2d73697a65206b657920616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865
            206b6579206e6565647320746f20626520686173686564206265666f7265206265696e67207573656420627920746865
            20484d414320616c676f726974686d2e
        code = 6617178e941f020d351e2f254e8fd32c602420feb0b8fb9adccebb82461e99c5a678cc31e799176d
            3860e6110c46523e
        """)

    /// HMAC-SHA-512, RFC 4231 section 4: cases 1 to 7, of case 5 the first 16 bytes.
    static let sha512 = vectors(
        """
        key = 0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b
        message = 4869205468657265
        code = 87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702
            038b274eaea3f4e4be9d914eeb61f1702e696c203a126854

        key = 4a656665
        message = 7768617420646f2079612077616e7420666f72206e6f7468696e673f
        code = 164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a
            6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737

        key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        message = dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd
            dddddddddddddddddddd
        code = fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39bf3e848279a722c8
            06b485a47e67c807b946a337bee8942674278859e13292fb

        key = 0102030405060708090a0b0c0d0e0f10111213141516171819
        message = cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd
            cdcdcdcdcdcdcdcdcdcd
        code = b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3dba91ca5c11aa25eb4
            d679275cc5788063a5f19741120c4f2de2adebeb10a298dd

        key = 0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c
        message = 546573742057697468205472756e636174696f6e
        code = 415fad6271580a531d4179bc891d87a6

        key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        message = 54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d20
            48617368204b6579204669727374
        code = 80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598
            bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598

        key = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
            aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        message = 5468697320697320612074657374207573696e672061206c6172676572207468616e20626c6f636b
            2d73697a65206b657920616e642061206c6172676572207468616e20626c6f636b2d73697a6520646174612e20546865
            206b6579206e6565647320746f20626520686173686564206265666f7265206265696e67207573656420627920746865
            20484d414320616c676f726974686d2e
        code = e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944b6022cac3c4982b1
            0d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58
        """)
}
