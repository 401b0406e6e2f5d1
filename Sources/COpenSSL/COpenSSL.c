#include "COpenSSL.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

int culvert_cbc(const EVP_CIPHER *cipher, int encrypt, const uint8_t *key, const uint8_t *iv, const uint8_t *input,
                size_t length, uint8_t *output) {
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  int written = 0, good = 0;
  if (context != NULL && length <= INT32_MAX && EVP_CipherInit_ex(context, cipher, NULL, key, iv, encrypt) == 1) {
    EVP_CIPHER_CTX_set_padding(context, 0);
    good = EVP_CipherUpdate(context, output, &written, input, (int)length) == 1 && (size_t)written == length;
  }
  EVP_CIPHER_CTX_free(context);
  return good;
}

EVP_CIPHER_CTX *culvert_cipher_create(const EVP_CIPHER *cipher, const uint8_t *key, int encrypt, int iv_length,
                                      int tag_length) {
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (context == NULL) return NULL;
  int good = EVP_CipherInit_ex(context, cipher, NULL, NULL, NULL, encrypt) == 1;
  if (good && iv_length > 0) good = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_IVLEN, iv_length, NULL) == 1;
  if (good && tag_length > 0) good = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, tag_length, NULL) == 1;
  good = good && EVP_CipherInit_ex(context, NULL, NULL, key, NULL, encrypt) == 1;
  if (!good) {
    EVP_CIPHER_CTX_free(context);
    return NULL;
  }
  /* Padding is not switched off: OpenSSL would say so to its provider anew at each initialization vector, 30 to 60 ns a
     packet. Modes other than CBC have none, and EVP_Cipher adds none. */
  return context;
}

int culvert_cipher_in_place(EVP_CIPHER_CTX *context, const uint8_t *iv, uint8_t *data, int length) {
  /* Whole blocks go straight to the cipher, past the buffer that EVP_CipherUpdate keeps for parts of one. */
  return length % EVP_CIPHER_CTX_get_block_size(context) == 0 &&
         EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) == 1 &&
         EVP_Cipher(context, data, data, (unsigned)length) == length;
}

/* The tag as a parameter: what EVP_CIPHER_CTX_ctrl would make of it, without its way there. */
#define TAG_PARAMETER(tag, length)                                                                                     \
  {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, (void *)(tag), (size_t)(length)),                      \
   OSSL_PARAM_construct_end()}

int culvert_aead_seal(EVP_CIPHER_CTX *context, const uint8_t *iv, const uint8_t *aad, int aad_length, uint8_t *data,
                      int length, uint8_t *tag, int tag_length) {
  OSSL_PARAM parameters[] = TAG_PARAMETER(tag, tag_length);
  int written = 0;
  return EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) == 1 &&
         EVP_CipherUpdate(context, NULL, &written, aad, aad_length) == 1 &&
         EVP_CipherUpdate(context, data, &written, data, length) == 1 &&
         EVP_CipherFinal_ex(context, data + length, &written) == 1 &&
         EVP_CIPHER_CTX_get_params(context, parameters) == 1;
}

int culvert_aead_open(EVP_CIPHER_CTX *context, const uint8_t *iv, const uint8_t *aad, int aad_length, uint8_t *data,
                      int length, const uint8_t *tag, int tag_length) {
  const OSSL_PARAM parameters[] = TAG_PARAMETER(tag, tag_length);
  int written = 0;
  return EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) == 1 &&
         EVP_CIPHER_CTX_set_params(context, parameters) == 1 &&
         EVP_CipherUpdate(context, NULL, &written, aad, aad_length) == 1 &&
         EVP_CipherUpdate(context, data, &written, data, length) == 1 &&
         EVP_CipherFinal_ex(context, data + length, &written) == 1;
}

int culvert_ccm_seal(EVP_CIPHER_CTX *context, const uint8_t *iv, const uint8_t *aad, int aad_length, uint8_t *data,
                     int length, uint8_t *tag, int tag_length) {
  OSSL_PARAM parameters[] = TAG_PARAMETER(tag, tag_length);
  int written = 0;
  return EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) == 1 &&
         EVP_CipherUpdate(context, NULL, &written, NULL, length) == 1 &&
         EVP_CipherUpdate(context, NULL, &written, aad, aad_length) == 1 &&
         EVP_CipherUpdate(context, data, &written, data, length) == 1 &&
         EVP_CIPHER_CTX_get_params(context, parameters) == 1;
}

int culvert_ccm_open(EVP_CIPHER_CTX *context, const uint8_t *iv, const uint8_t *aad, int aad_length, uint8_t *data,
                     int length, const uint8_t *tag, int tag_length) {
  const OSSL_PARAM parameters[] = TAG_PARAMETER(tag, tag_length);
  int written = 0;
  return EVP_CipherInit_ex(context, NULL, NULL, NULL, iv, -1) == 1 &&
         EVP_CIPHER_CTX_set_params(context, parameters) == 1 &&
         EVP_CipherUpdate(context, NULL, &written, NULL, length) == 1 &&
         EVP_CipherUpdate(context, NULL, &written, aad, aad_length) == 1 &&
         EVP_CipherUpdate(context, data, &written, data, length) == 1;
}
