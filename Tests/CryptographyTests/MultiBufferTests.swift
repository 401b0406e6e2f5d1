import Testing

@testable import Cryptography

@Suite("The multi-buffer library")
struct MultiBufferTests {
    @Test("where it is there, it passes its test with every suite; where it is not, it has none")
    func selfTest() {
        let library = MultiBuffer.library
        #expect(library.failures == [])
        #expect(library.isThere == !library.description.isEmpty)
        for suite in BurstSuite.allCases where suite.cipher != .tripleDESCBC {
            #expect(library.has(suite) == library.isThere)
        }
        for keyLength in MultiBufferLibrary.gcmKeyLengths {
            #expect(library.hasGCM(keyLength: keyLength) == library.isThere)
        }
        #expect(!library.hasGCM(keyLength: 20))
    }

    @Test("a suite whose known answer does not come out is left to OpenSSL, the others are not")
    func wrongAnswers() {
        var answers = MultiBufferTest.Answers.known
        answers.codes[2] = answers.codes[2].replacing("a6eede9f", with: "a6eede9e")
        answers.tags[1] = answers.tags[1].replacing("8268", with: "8269")
        let library = MultiBufferLibrary(answers: answers)
        guard library.isThere else { return }
        #expect(library.failures == ["aes256CBC with HMAC-sha1", "aes192GCM"])
        for suite in BurstSuite.allCases where suite.cipher != .tripleDESCBC {
            #expect(library.has(suite) == (suite.cipher != .aes256CBC || suite.hash != .sha1))
        }
        #expect([16, 24, 32].map(library.hasGCM) == [true, false, true])
    }

    @Test("suites have numbers of their own, and come from the ciphers that they have")
    func suites() {
        #expect(BurstSuite.allCases.map(\.index) == Array(0..<35))
        for suite in BurstSuite.allCases { #expect(BurstSuite(suite.algorithm, hash: suite.hash) == suite) }
        #expect(BurstSuite(.cbc(.des), hash: .sha1) == nil)
        #expect(BurstSuite(.cbc(.aes128), hash: .md4) == nil)
        #expect(BurstSuite(.gcm(keyLength: 16), hash: .sha1) == nil)
    }
}
