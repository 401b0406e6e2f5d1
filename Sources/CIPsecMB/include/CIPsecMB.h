/* Intel's multi-buffer library for Swift, as far as ESP needs it.

   The library is looked for when the process starts, and not linked: a binary runs without it, on OpenSSL alone. Where its
   header was missing when this was built, or the processor is another than x86-64, it is never found. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Looks for the library, once. Returns 1 if it is there, is not older than the header, and the processor is one for it. All
   else may be called only after that. */
int culvert_multibuffer_load(void);
/* The library's version and the instructions that it works by; static memory. */
const char *culvert_multibuffer_version(void);
const char *culvert_multibuffer_instructions(void);
/* Whether it works by AVX-512, without which its triple DES is no faster than anybody's. */
int culvert_multibuffer_has_avx512(void);

/* --- AES-GCM: one packet at a time ------------------------------------------------------------------------------- */

/* The expanded key of one direction. Overwritten when it is freed. NULL for a key of another length than 16, 24 or 32. */
typedef struct culvert_gcm {
  void (*run)(const void *keys, void *context, uint8_t *target, const uint8_t *source, uint64_t length,
              const uint8_t *nonce, const uint8_t *aad, uint64_t aad_length, uint8_t *tag, uint64_t tag_length);
  const void *keys;
  void *context;
} culvert_gcm;
culvert_gcm *culvert_gcm_create(const uint8_t *key, size_t key_length, int encrypt);
void culvert_gcm_free(culvert_gcm *gcm);

/* Encrypts or decrypts in place, the nonce having 12 bytes, and writes the tag of 8, 12 or 16 bytes; to compare it is the
   caller's. Inline, because ten arguments are worth being put in their places but once. */
static inline void culvert_gcm_run(const culvert_gcm *gcm, const uint8_t *nonce, const uint8_t *aad, size_t aad_length,
                                   uint8_t *data, size_t length, uint8_t *tag, size_t tag_length) {
  gcm->run(gcm->keys, gcm->context, data, data, length, nonce, aad, aad_length, tag, tag_length);
}

/* --- a cipher and an HMAC: many packets at once ------------------------------------------------------------------ */

/* How many jobs run together. More gain nothing. */
enum { culvert_burst_capacity = 64 };

enum { culvert_burst_aes_cbc, culvert_burst_aes_ctr, culvert_burst_triple_des };

/* The keys of one direction: the cipher's schedule, and the two states of the hash that HMAC begins with. Overwritten when
   they are freed. NULL for a key of another length than the cipher's, or for a hash that there is not. */
typedef struct culvert_burst_keys culvert_burst_keys;
culvert_burst_keys *culvert_burst_keys_create(int cipher, const uint8_t *key, size_t key_length, int hash_bits,
                                              const uint8_t *hash_key, size_t hash_key_length, int encrypt);
void culvert_burst_keys_free(culvert_burst_keys *keys);

/* Room for any hash's code. */
enum { culvert_burst_code_length = 64 };

/* One packet: what is authenticated begins at `packet`, and in it lies what is encrypted. Encryption comes before
   authentication, and decryption after it, whether the code will turn out to be right or not. */
typedef struct {
  const culvert_burst_keys *keys;
  uint8_t *packet;
  const uint8_t *vector; /* as long as the cipher's block, with CTR the whole first counter block */
  uint32_t authenticated_length;
  uint32_t body_offset, body_length; /* whole blocks with CBC */
  uint32_t is_done;                  /* set by the burst */
  uint8_t *code;                     /* room for culvert_burst_code_length bytes, written by the burst */
} culvert_burst_job;

/* One thread's manager of jobs; NULL without memory. */
typedef struct culvert_burst culvert_burst;
culvert_burst *culvert_burst_create(void);
void culvert_burst_free(culvert_burst *burst);

/* Runs the jobs that `count` pointers point to, at most culvert_burst_capacity, to their end. */
void culvert_burst_run(culvert_burst *burst, culvert_burst_job *const *jobs, size_t count);
