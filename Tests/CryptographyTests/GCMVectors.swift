/// AES-GCM as its authors, NIST and the test draft for ESP publish it.
enum GCMVectors {
    /// McGrew and Viega, "The Galois/Counter Mode of Operation", the test cases with nonces of 96 bits.
    static let mcgrewViega = vectors(
        """
        key = 00000000000000000000000000000000
        nonce = 000000000000000000000000
        associated =
        plaintext =
        ciphertext =
        tag = 58e2fccefa7e3061367f1d57a4e7455a

        key = 00000000000000000000000000000000
        nonce = 000000000000000000000000
        associated =
        plaintext = 00000000000000000000000000000000
        ciphertext = 0388dace60b6a392f328c2b971b2fe78
        tag = ab6e47d42cec13bdf53a67b21257bddf

        key = feffe9928665731c6d6a8f9467308308
        nonce = cafebabefacedbaddecaf888
        associated =
        plaintext = d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c9595680953
            2fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255
        ciphertext = 42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c
            7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985
        tag = 4d5c2af327cd64a62cf35abd2ba6fab4

        key = feffe9928665731c6d6a8f9467308308
        nonce = cafebabefacedbaddecaf888
        associated = feedfacedeadbeeffeedfacedeadbeefabaddad2
        plaintext = d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c9595680953
            2fcf0e2449a6b525b16aedf5aa0de657ba637b39
        ciphertext = 42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c
            7d8f6a5aac84aa051ba30b396a0aac973d58e091
        tag = 5bc94fbc3221a5db94fae95ae7121a47

        key = 000000000000000000000000000000000000000000000000
        nonce = 000000000000000000000000
        associated =
        plaintext =
        ciphertext =
        tag = cd33b28ac773f74ba00ed1f312572435

        key = 000000000000000000000000000000000000000000000000
        nonce = 000000000000000000000000
        associated =
        plaintext = 00000000000000000000000000000000
        ciphertext = 98e7247c07f0fe411c267e4384b0f600
        tag = 2ff58d80033927ab8ef4d4587514f0fb

        key = feffe9928665731c6d6a8f9467308308feffe9928665731c
        nonce = cafebabefacedbaddecaf888
        associated =
        plaintext = d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c9595680953
            2fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255
        ciphertext = 3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525
            ac619d18c84a3f4718e2448b2fe324d9ccda2710acade256
        tag = 9924a7c8587336bfb118024db8674a14

        key = feffe9928665731c6d6a8f9467308308feffe9928665731c
        nonce = cafebabefacedbaddecaf888
        associated = feedfacedeadbeeffeedfacedeadbeefabaddad2
        plaintext = d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c9595680953
            2fcf0e2449a6b525b16aedf5aa0de657ba637b39
        ciphertext = 3980ca0b3c00e841eb06fac4872a2757859e1ceaa6efd984628593b40ca1e19c7d773d00c144c525
            ac619d18c84a3f4718e2448b2fe324d9ccda2710
        tag = 2519498e80f1478f37ba55bd6d27618c

        key = 0000000000000000000000000000000000000000000000000000000000000000
        nonce = 000000000000000000000000
        associated =
        plaintext =
        ciphertext =
        tag = 530f8afbc74536b9a963b4f1c4cb738b

        key = 0000000000000000000000000000000000000000000000000000000000000000
        nonce = 000000000000000000000000
        associated =
        plaintext = 00000000000000000000000000000000
        ciphertext = cea7403d4d606b6e074ec5d3baf39d18
        tag = d0d1c8a799996bf0265b98b5d48ab919

        key = feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308
        nonce = cafebabefacedbaddecaf888
        associated =
        plaintext = d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c9595680953
            2fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255
        ciphertext = 522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3d
            a7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad
        tag = b094dac5d93471bdec1a502270e3cc6c

        key = feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308
        nonce = cafebabefacedbaddecaf888
        associated = feedfacedeadbeeffeedfacedeadbeefabaddad2
        plaintext = d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c9595680953
            2fcf0e2449a6b525b16aedf5aa0de657ba637b39
        ciphertext = 522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3d
            a7b08b1056828838c5f61e6393ba7a0abcc9f662
        tag = 76fc6ece0f4e1768cddf8853bb2d551b
        """)

    /// NIST CAVS gcmEncryptExtIV128, 192 and 256: tags of 16, 12 and 8 bytes.
    static let nist = vectors(
        """
        key = dfefde23c6122bf0370ab5890e804b73
        nonce = 92d6a8029990670f16de79e2
        associated = a2b16d78251de6c191ce350e5c5ef242
        plaintext = 64260a8c287de978e96c7521d0
        ciphertext = bf78de948a847c173649d4b4d0
        tag = 9da3829968cdc50794d1c30d41cd4515

        key = 1efb999a6e6321c473bddc598838a93b
        nonce = 1571c934050479cb19743c6c
        associated = 78ebc32a9e8ecbf0805c55a63b791b2f
        plaintext = 9da0445b68a66bd98b80ab178b
        ciphertext = c10c4eba4857af5856e531f1a0
        tag = e2e20d097a3e6fe7a2a7fe89

        key = 76faaf2bfbd103b5fae725f4990b8282
        nonce = 4f32472c588fcbae5012ce70
        associated = 6e4141d7f79d4e2682cd605e3e39033c
        plaintext = 58be7470b3b0de22a8f902fda1100215b56831805920be92a7e57d81c150acba
        ciphertext = 11e3c43c549d277e42feb0d2ef39715ac8d86bd925ed7e64f17b97688daeef8b
        tag = 37d7c65a03635f8d

        key = b61553bb854895b929751cd0c5f80384
        nonce = 8863f999ae64e55d0bbd7457
        associated = d914b5f2d1b08ce53ea59cb310587245
        plaintext = 9b1b113217d0c4ea7943cf123c69c6ad2e3c97368c51c9754145d155dde1ee8640c8cafff17a5c97
            37d26a137eee4bf369096d
        ciphertext = acfab4632b8a25805112f13d85e082bc89dc49bd92164fa8a2dad242c3a1b2f2696f2fdff579025f
            3f146ea97da3e47dc34b65
        tag = 5d9b5f4a9868c1c69cbd6fd851f01340

        key = 5daa8910d9dc5068f2f55c163986d071452344a5eac5a805
        nonce = 8f88d70e250dbf1282413fd7
        associated = 3b3bbb2ccd76236f074eecc19f341057
        plaintext = 4235e42f32cff44a507dd8a366
        ciphertext = e92df9d2fd436ed254fa92789c
        tag = 4cdddb4a9546a8d73afc9f5e46a926f3

        key = 5b689f5d0c3c395bc3ff44752782689a3dc7a0b9bbc555fd
        nonce = d88bb363fe10c571e19e753f
        associated = b9820269e041ebff56b8cd2fb26e070d
        plaintext = 0da7f6d3d82049a00be90de59c
        ciphertext = 94e766cb81370e323ae6cec064
        tag = 2a54b279b2dab1bb9a821fd4

        key = cb1b48fee263c6e11d766acc02729594229d5744c5b28f8a
        nonce = a67f3dfac503feafd5e5fe07
        associated = 35866eb6199966379439c8ce31b4667e
        plaintext = 60c3557a53d5b58d64fac2f081ed926ffff3ccccc6b729e4c69db77451da36e4
        ciphertext = cfdb665e40bf2f36d3132fcd21ef2adc18351e76df48853d93f274f1897f4546
        tag = c1ffd72704905c85

        key = a4c3933b52f82bd5da1e61a6f5bcc3af935d163099327a4d
        nonce = 15f23f33cfb1435a26393e70
        associated = b71089bef951b6a411748eec346beeeb
        plaintext = 53b155426e5d8a322e3f973b4bd4123d2da0be6d64c8ee605e81db52dc0ae908ce4c9fc321750c99
            e6cedc82c5ff5f1d0d3ed9
        ciphertext = 663f2adbbf31c4c974943346cbfbc320790dbe837d6db659aa8b457f87d8cbd6fed05bf344be2803
            754bb1e18286c763d33880
        tag = 289d9544080321ffd45be9431ed4adf6

        key = dad89d9be9bba138cdcf8752c45b579d7e27c3dbb40f53e771dd8cfd500aa2d5
        nonce = cfb2aec82cfa6c7d89ee72ff
        associated = 6e43784a91851a77667a02198e28dc32
        plaintext = b526ba1050177d05b0f72f8d67
        ciphertext = 8b29e66e924ecae84f6d8f7d68
        tag = 1e365805c8f28b2ed8a5cadfd9079158

        key = 586a41514a5d86abe03c375b6771c4228b316ffdc4c717e18a8403d1d74ecc4d
        nonce = bea1761d0bdfd0659c7e5ace
        associated = c5e3d5aff6c9ddbec333ac515f56f61b
        plaintext = d6b0d28dc982c82f617f1a0330
        ciphertext = 0c651e00a1f5e9584ec7afe24b
        tag = cdc05bd8e15fac64145c68b4

        key = 41789224050a366c8caee04070ab97bb3cd27fc1fdd6867625ac4f31a1ab45c9
        nonce = 26563b156e212de141eae0f0
        associated = 6b6a5ff447887e3a8af778820f46194f
        plaintext = 3e11d43e1e18affcbbbb928d18cc36399892baab5df04fd1752a4104581835e9
        ciphertext = 73acad47b479a16fb6427515b700100bc5b15e3843e0461b25ce00cf104f0b5b
        tag = 2dd15e0ad5c2731e

        key = 5fe01c4baf01cbe07796d5aaef6ec1f45193a98a223594ae4f0ef4952e82e330
        nonce = bd587321566c7f1a5dd8652d
        associated = 9013617817dda947e135ee6dd3653382
        plaintext = 881dc6c7a5d4509f3c4bd2daab08f165ddc204489aa8134562a4eac3d0bcad7965847b102733bb63
            d1e5c598ece0c3e5dadddd
        ciphertext = 16e375b4973b339d3f746c1c5a568bc7526e909ddff1e19c95c94a6ccff210c9a4a40679de5760c3
            96ac0e2ceb1234f9f5fe26
        tag = abd3d26d65a6275f7a4f56b422acab49
        """)

    /// draft-mcgrew-gcm-test-01 section 4: what ESP encrypts, with short and with extended sequence numbers.
    static let esp = vectors(
        """
        key = 4c80cdefbb5d10da906ac73c3613a634
        nonce = 2e443b684956ed7e3b244cfe
        associated = 000043218765432100000000
        plaintext = 45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f7369
            70045f756470037369700963796265726369747902646b000021000101020201
        ciphertext = fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf
            65925bf1f4a13c5d15b21e1884f5ff6247aeabb786b93bce61bc17d768fd9732
        tag = 459018148f6cbe722fd04796562dfdb4

        key = feffe9928665731c6d6a8f9467308308
        nonce = cafebabefacedbaddecaf888
        associated = 0000a5f80000000a
        plaintext = 4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d001000001000000000000
            037369700963796265726369747902646b00000100010001
        ciphertext = deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c3de81827c10e9a4f
            51330d0eec416642cfbb85a5b47e48a4ec3b9ba95d918bd1
        tag = 83b70d3aa8bc6ee4c309e9d85a41ad4a

        key = abbccddef00112233445566778899aababbccddef00112233445566778899aab
        nonce = 112233440102030405060708
        associated = 4a2cbfe300000002
        plaintext = 4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf0000
            020405b40101040201020201
        ciphertext = ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a637985771d34
            7f0545659f14e99def842d8e
        tag = b335f4eecfdbf831824b4c4915956c96

        key = 00000000000000000000000000000000
        nonce = 000000000000000000000000
        associated = 0000000000000001
        plaintext = 4500003c99c500008001cb7a40679318010101010800075c020044006162636465666768696a6b6c
            6d6e6f707172737475767761626364656667686901020201
        ciphertext = 4688daf2f973a392732909c331d56d60f694abaa414b5e7ff5fdcdfff5e9a284456476492719ffb6
            4de7d9dca1e1d894bc3bd57873ed4d181d19d4d5c8c18af3
        tag = f821d496eeb096e98ad2b69e4799c71d

        key = 3de09874b388e6491988d0c3607eae1f
        nonce = 57690e434e280000a2fca1a3
        associated = 42f67e3f1010101010101010
        plaintext = 4500003c99c300008001cb7c40679318010101010800085c020043006162636465666768696a6b6c
            6d6e6f707172737475767761626364656667686901020201
        ciphertext = fba2caa4853cf9f0f22cb10d86dd83b0fec75691cf1a04b00d1138ec9c35791765acbd8701ad7984
            5bf9fe3fba487bc91755e6662b4c8d0d1f5e22739530320a
        tag = e0d731cc978ecafaeae88f00e80d6e48

        key = 3de09874b388e6491988d0c3607eae1f
        nonce = 57690e434e280000a2fca1a3
        associated = 42f67e3f1010101010101010
        plaintext = 4500001c42a200008001441f406793b6e00000020a00f5ff01020201
        ciphertext = fba2ca845e5df9f0f22c3e6e86dd831e1fc65792cd1af9130e1379ed
        tag = 369f071f35e034be95f112e4e7d05d35

        key = feffe9928665731c6d6a8f9467308308feffe9928665731c
        nonce = cafebabefacedbaddecaf888
        associated = 0000a5f80000000a
        plaintext = 45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d075680001
        ciphertext = a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0315b27452144cc77
        tag = 95457b9652037f5318027b5b4cd7a636

        key = abbccddef00112233445566778899aab
        nonce = decaf888cafedebaceface74
        associated = 000001000000000000000001
        plaintext = 4500004933ba00007f119106c3fb1d10c2b1d326c02831ce0035dd7b800302d500004e20001e8c18
            d75b81dc91baa0476b91b924b280389d92c963bac046ec959b6266c04722b14923010101
        ciphertext = 18a6fd42f72cbf4ab2a2ea901f73d814e3e7f243d95412e1c349c1d2fbec168f9190feebaf2cb019
            84e65863965d7472b79da345e0e780191f0d2f0e0f496c226f2127b27db35724e7845d68
        tag = 651f57e65f354f75ff17015769623436

        key = abbccddef00112233445566778899aababbccddef00112233445566778899aab
        nonce = 73616c74616e640169766563
        associated = 17405e67156f3126dd0db99b
        plaintext = 45080028732c00004006e9f90a0106120a01038f06b88023dd6bafbecb71260250101f646d540001
        ciphertext = f2d69ecdbd5a0d5b8d5ef38bad4da58d1f278fde98ef67549d524a3018d9a57ff4d3a31ce673119e
        tag = 451626c2415771e3b7eebca614c89b35

        key = 3de09874b388e6491988d0c3607eae1f
        nonce = 57690e434e280000a2fca1a3
        associated = 42f67e3f1010101010101010
        plaintext = 45000049333e00007f119182c3fb1d10c2b1d326c02831ce0035cb458003025b000001e0001e8c18
            d65759d52284a0352c71475c8880391c764d6e5ee0496b325ae270c03899493915010101
        ciphertext = fba2cad12fc1f9f00d3cebf305410db83d7784b607323d220f24b0a97d54182800cadb0f68d99ef0
            e0c0c89ae9bea8884e52d65bc1afd0740f742444747b5b39ab533163aad4550ee5160975
        tag = cdb608c5769189609763b8e18caa81e2

        key = abbccddef00112233445566778899aababbccddef00112233445566778899aab
        nonce = 73616c74616e640169766563
        associated = 17405e67156f3126dd0db99b
        plaintext = 636973636f0172756c657301746865016e6574776501646566696e6501746865746563686e6f6c6f
            67696573017468617477696c6c01646566696e65746f6d6f72726f7701020201
        ciphertext = d4b7ed86a1777f2ea13d6973d324c69e7b43f826fb56831226508bebd2dceb18d0a6df10e5487df0
            74113e14c641024e3e6773d91a62ee429b043a10e3efe6b012a49363412364f8
        tag = c0cac587f249e56b11e24f30e44ccc76

        key = 7d773d00c144c525ac619d18c84a3f47
        nonce = d966426743457e9182443bc6
        associated = 335467aeffffffff
        plaintext = 01020201
        ciphertext = 437f866b
        tag = cb3f699fe9b0822bac961c4504bef270

        key = abbccddef00112233445566778899aab
        nonce = decaf888cafedebaceface74
        associated = 000001000000000000000001
        plaintext = 746f016265016f72016e6f7401746f0162650001
        ciphertext = 29c9fc69a197d038ccdd14e2ddfcaa0543332164
        tag = 412503524303ed3c6c5f283843af8c3e

        key = 6c6567616c697a656d6172696a75616e61616e64646f69746265666f72656961
        nonce = 7475726e333021696765746d
        associated = 796b6963ffffffffffffffff
        plaintext = 45000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768696a6b6c
            6d6e6f707172737401020201
        ciphertext = f97ab2aa356d8edce17644ac8c78e25dd24dedbb29ebf1b64a274b39b49c3a864cd3d78ca4ae68a3
            2b42458fb57dbe821dcc63b9
        tag = d0937ba2945f669368661a329fb4c053
        """)
}
