#include "OCSP.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "Verification.h"

void culvert_certificate_responders(const X509 *certificate, void *context, culvert_visitor visitor) {
  AUTHORITY_INFO_ACCESS *places = X509_get_ext_d2i(certificate, NID_info_access, NULL, NULL);
  for (int index = 0; index < sk_ACCESS_DESCRIPTION_num(places); index += 1) {
    const ACCESS_DESCRIPTION *place = sk_ACCESS_DESCRIPTION_value(places, index);
    if (OBJ_obj2nid(place->method) != NID_ad_OCSP || place->location->type != GEN_URI) continue;
    const ASN1_STRING *uri = place->location->d.uniformResourceIdentifier;
    visitor(context, GEN_URI, ASN1_STRING_get0_data(uri), (size_t)ASN1_STRING_length(uri));
  }
  AUTHORITY_INFO_ACCESS_free(places);
  ERR_clear_error();
}

/* RFC 5019 section 2.1.1: SHA-1 names the certificate, which protects nothing, and which every responder knows. */
static OCSP_CERTID *certificate_id(const X509 *certificate, const X509 *issuer) {
  return OCSP_cert_to_id(EVP_sha1(), certificate, issuer);
}

size_t culvert_ocsp_request(const X509 *certificate, const X509 *issuer, const uint8_t *nonce, size_t nonce_length,
                            uint8_t **der) {
  OCSP_REQUEST *request = OCSP_REQUEST_new();
  OCSP_CERTID *id = certificate_id(certificate, issuer);
  int length = 0;
  *der = NULL;
  if (request != NULL && id != NULL && nonce_length <= 32 && OCSP_request_add0_id(request, id) != NULL) {
    id = NULL; /* The request's now. */
    /* Not written to, though its type says so. */
    if (OCSP_request_add1_nonce(request, (unsigned char *)(uintptr_t)nonce, (int)nonce_length) == 1)
      length = i2d_OCSP_REQUEST(request, der);
  }
  OCSP_CERTID_free(id);
  OCSP_REQUEST_free(request);
  ERR_clear_error();
  return length > 0 ? (size_t)length : 0;
}

/* RFC 6960 section 4.2.2.2: a delegate's certificate comes from the issuer itself and is for nothing but this. */
static int is_delegate(X509_STORE *store, X509 *signer, X509 *issuer, int64_t time, int security_level) {
  uint32_t usage = X509_get_key_usage(signer); /* all bits where there is none */
  if ((X509_get_extension_flags(signer) & EXFLAG_XKUSAGE) == 0) return 0;
  if ((X509_get_extended_key_usage(signer) & XKU_OCSP_SIGN) == 0) return 0;
  if ((usage & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION)) == 0) return 0;

  X509_STORE_CTX *context = X509_STORE_CTX_new();
  STACK_OF(X509) *anchors = sk_X509_new_null();
  int good = 0;
  if (context != NULL && anchors != NULL && sk_X509_push(anchors, issuer) > 0 &&
      X509_STORE_CTX_init(context, store, signer, NULL) == 1) {
    /* Whoever else the store trusts does not speak for this issuer; of the store, the revocation lists alone are used. */
    X509_STORE_CTX_set0_trusted_stack(context, anchors);
    good = culvert_verify_prepared(context, time, 0, security_level, culvert_revocation_where_known) == X509_V_OK;
  }
  X509_STORE_CTX_free(context);
  sk_X509_free(anchors);
  return good;
}

/* What a collision could be made for: the nonce is of somebody else's choice. */
static int is_strong(const OCSP_BASICRESP *basic, X509 *signer, int security_level) {
  int hash = NID_undef, key = NID_undef;
  if (culvert_key_describe(X509_get0_pubkey(signer)).kind == 0) return 0;
  if (security_level == 0) return 1;
  const X509_ALGOR *algorithm = OCSP_resp_get0_tbs_sigalg(basic);
  if (OBJ_find_sigid_algs(OBJ_obj2nid(algorithm->algorithm), &hash, &key) != 1) return 0;
  if (key == NID_ED25519 || key == NID_ED448) return 1;
  const EVP_MD *digest = EVP_get_digestbynid(hash);
  /* Twice 112 bits. */
  return digest != NULL && EVP_MD_get_size(digest) >= 28;
}

static int signature_is_good(OCSP_BASICRESP *basic, X509 *signer) {
  STACK_OF(X509) *signers = sk_X509_new_null();
  int good = signers != NULL && sk_X509_push(signers, signer) > 0 &&
             OCSP_basic_verify(basic, signers, NULL, OCSP_NOVERIFY | OCSP_NOINTERN) == 1;
  sk_X509_free(signers);
  return good;
}

static int check_signature(X509_STORE *store, OCSP_BASICRESP *basic, X509 *issuer, int64_t time, int security_level) {
  STACK_OF(X509) *known = sk_X509_new_null();
  X509 *signer = NULL;
  int found = known != NULL && sk_X509_push(known, issuer) > 0 && OCSP_resp_get0_signer(basic, &signer, known) == 1;
  sk_X509_free(known);
  if (!found) return culvert_ocsp_foreign_signer;
  if (signer != issuer && !is_delegate(store, signer, issuer, time, security_level)) return culvert_ocsp_foreign_signer;
  if (!is_strong(basic, signer, security_level)) return culvert_ocsp_weak_signature;
  return signature_is_good(basic, signer) ? culvert_ocsp_answered : culvert_ocsp_bad_signature;
}

static int nonce_is_ours(OCSP_BASICRESP *basic, const uint8_t *nonce, size_t length) {
  int index = OCSP_BASICRESP_get_ext_by_NID(basic, NID_id_pkix_OCSP_Nonce, -1);
  if (index < 0 || length == 0) return 1;
  const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(OCSP_BASICRESP_get_ext(basic, index));
  /* An OCTET STRING within: its type, its length in one byte, and our bytes. */
  const unsigned char *bytes = ASN1_STRING_get0_data(value);
  return (size_t)ASN1_STRING_length(value) == length + 2 && bytes[0] == V_ASN1_OCTET_STRING && bytes[1] == length &&
         memcmp(bytes + 2, nonce, length) == 0;
}

static int read_status(OCSP_BASICRESP *basic, const X509 *certificate, const X509 *issuer, culvert_ocsp_answer *answer) {
  OCSP_CERTID *id = certificate_id(certificate, issuer);
  int index = id == NULL ? -1 : OCSP_resp_find(basic, id, -1);
  OCSP_CERTID_free(id);
  if (index < 0) return culvert_ocsp_other_certificate;
  ASN1_GENERALIZEDTIME *revoked = NULL, *this_update = NULL, *next_update = NULL;
  OCSP_SINGLERESP *single = OCSP_resp_get0(basic, index);
  answer->status =
      OCSP_single_get0_status(single, &answer->revocation_reason, &revoked, &this_update, &next_update);
  _Static_assert(culvert_ocsp_good == V_OCSP_CERTSTATUS_GOOD && culvert_ocsp_revoked == V_OCSP_CERTSTATUS_REVOKED &&
                     culvert_ocsp_unknown == V_OCSP_CERTSTATUS_UNKNOWN,
                 "the same numbers");
  int good = answer->status >= 0 && culvert_time_seconds(this_update, &answer->this_update) &&
             (next_update == NULL || culvert_time_seconds(next_update, &answer->next_update)) &&
             (answer->status != V_OCSP_CERTSTATUS_REVOKED || culvert_time_seconds(revoked, &answer->revoked_at));
  return good ? culvert_ocsp_answered : culvert_ocsp_malformed;
}

int culvert_ocsp_check(X509_STORE *store, const X509 *certificate, X509 *issuer, const uint8_t *nonce,
                       size_t nonce_length, const uint8_t *der, size_t length, int64_t time, int security_level,
                       culvert_ocsp_answer *answer) {
  memset(answer, 0, sizeof *answer);
  answer->revocation_reason = -1;
  const unsigned char *position = der;
  OCSP_RESPONSE *response = length <= INT32_MAX ? d2i_OCSP_RESPONSE(NULL, &position, (long)length) : NULL;
  OCSP_BASICRESP *basic = NULL;
  int result = culvert_ocsp_malformed;
  if (response != NULL && position == der + length) {
    answer->response_status = OCSP_response_status(response);
    if (answer->response_status != OCSP_RESPONSE_STATUS_SUCCESSFUL) result = culvert_ocsp_not_successful;
    else basic = OCSP_response_get1_basic(response);
  }
  if (basic != NULL) result = check_signature(store, basic, issuer, time, security_level);
  if (basic != NULL && result == culvert_ocsp_answered && !nonce_is_ours(basic, nonce, nonce_length))
    result = culvert_ocsp_other_nonce;
  if (basic != NULL && result == culvert_ocsp_answered) result = read_status(basic, certificate, issuer, answer);
  OCSP_BASICRESP_free(basic);
  OCSP_RESPONSE_free(response);
  ERR_clear_error();
  return result;
}
