#include "CIPsecMB.h"

#if defined(__x86_64__) && __has_include(<intel-ipsec-mb.h>)
#define CULVERT_HAS_IPSEC_MB 1
#endif

#ifdef CULVERT_HAS_IPSEC_MB

#ifndef LINUX
#define LINUX 1 /* the header aligns its structures only then */
#endif
#include <dlfcn.h>
#include <intel-ipsec-mb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CACHE_LINE 64

/* What is called by name; all else the manager points to. Set once, before anybody else runs. */
static struct {
  IMB_MGR *(*allocate)(uint64_t);
  void (*release)(IMB_MGR *);
  void (*begin)(IMB_MGR *, IMB_ARCH *);
  const char *(*version)(void);
  IMB_MGR *manager; /* for its functions alone, which keep nothing in it */
  IMB_ARCH architecture;
} library;

static pthread_once_t loading = PTHREAD_ONCE_INIT;

static void load(void) {
  /* The name has the version of the binary interface in it. */
  void *handle = dlopen("libIPSec_MB.so.1", RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) return;
  unsigned (*number)(void) = (unsigned (*)(void))dlsym(handle, "imb_get_version");
  library.allocate = (IMB_MGR * (*)(uint64_t)) dlsym(handle, "alloc_mb_mgr");
  library.release = (void (*)(IMB_MGR *))dlsym(handle, "free_mb_mgr");
  library.begin = (void (*)(IMB_MGR *, IMB_ARCH *))dlsym(handle, "init_mb_mgr_auto");
  library.version = (const char *(*)(void))dlsym(handle, "imb_get_version_str");
  /* A newer one adds to the manager's end; an older one lacks what the header promises. */
  if (number == NULL || library.allocate == NULL || library.release == NULL || library.begin == NULL ||
      library.version == NULL || number() < IMB_VERSION_NUM)
    return;
  IMB_MGR *manager = library.allocate(0);
  if (manager == NULL) return;
  library.begin(manager, &library.architecture);
  /* Without AES instructions it is an emulation, slower than OpenSSL. */
  if (library.architecture < IMB_ARCH_SSE) {
    library.release(manager);
    return;
  }
  library.manager = manager;
}

int culvert_multibuffer_load(void) { return pthread_once(&loading, load) == 0 && library.manager != NULL; }

const char *culvert_multibuffer_version(void) { return library.version(); }

const char *culvert_multibuffer_instructions(void) {
  switch (library.architecture) {
  case IMB_ARCH_SSE: return "SSE";
  case IMB_ARCH_AVX: return "AVX";
  case IMB_ARCH_AVX2: return "AVX2";
  case IMB_ARCH_AVX512: return "AVX-512";
  default: return "no vector instructions";
  }
}

int culvert_multibuffer_has_avx512(void) { return library.architecture == IMB_ARCH_AVX512; }

static void *allocate(size_t length) {
  return aligned_alloc(CACHE_LINE, (length + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);
}

/* --- AES-GCM ----------------------------------------------------------------------------------------------------- */

typedef struct {
  struct gcm_key_data keys; /* first, since it has to be aligned */
  struct gcm_context_data context; /* holds key stream, so it is not left on a stack */
  culvert_gcm head;
} gcm_state;

culvert_gcm *culvert_gcm_create(const uint8_t *key, size_t key_length, int encrypt) {
  const IMB_MGR *manager = library.manager;
  gcm_state *gcm = allocate(sizeof *gcm);
  if (gcm == NULL) return NULL;
  aes_gcm_enc_dec_t run;
  switch (key_length) {
  case 16:
    manager->gcm128_pre(key, &gcm->keys);
    run = encrypt ? manager->gcm128_enc : manager->gcm128_dec;
    break;
  case 24:
    manager->gcm192_pre(key, &gcm->keys);
    run = encrypt ? manager->gcm192_enc : manager->gcm192_dec;
    break;
  case 32:
    manager->gcm256_pre(key, &gcm->keys);
    run = encrypt ? manager->gcm256_enc : manager->gcm256_dec;
    break;
  default: free(gcm); return NULL;
  }
  /* The same function but for the names of two structures, which the header above does without. */
  gcm->head.run = (__typeof__(gcm->head.run))(void *)run;
  gcm->head.keys = &gcm->keys;
  gcm->head.context = &gcm->context;
  return &gcm->head;
}

void culvert_gcm_free(culvert_gcm *gcm) {
  if (gcm == NULL) return;
  gcm_state *state = (gcm_state *)(void *)((uint8_t *)gcm - offsetof(gcm_state, head));
  explicit_bzero(state, sizeof *state);
  free(state);
}

/* --- a cipher and an HMAC ---------------------------------------------------------------------------------------- */

#define AES_SCHEDULE (16 * 15)
#define BLOCK_MAXIMUM 128
#define STATE_MAXIMUM 64

struct culvert_burst_keys {
  union {
    uint8_t aes[AES_SCHEDULE];
    uint64_t des[3][IMB_DES_KEY_SCHED_SIZE / sizeof(uint64_t)];
  } schedule __attribute__((aligned(16)));
  uint8_t inner[STATE_MAXIMUM] __attribute__((aligned(16)));
  uint8_t outer[STATE_MAXIMUM] __attribute__((aligned(16)));
  const void *des_keys[3];
  IMB_CIPHER_MODE mode;
  IMB_CIPHER_DIRECTION direction;
  IMB_CHAIN_ORDER order;
  IMB_HASH_ALG hash;
  uint32_t key_length, vector_length, code_length;
};

static int expand_cipher_key(culvert_burst_keys *keys, int cipher, const uint8_t *key, size_t length) {
  const IMB_MGR *manager = library.manager;
  keys->key_length = (uint32_t)length;
  if (cipher == culvert_burst_triple_des) {
    if (length != 24) return 0;
    for (int i = 0; i < 3; i++) {
      manager->des_key_sched(keys->schedule.des[i], key + 8 * i);
      keys->des_keys[i] = keys->schedule.des[i];
    }
    keys->mode = IMB_CIPHER_DES3;
    keys->vector_length = 8;
    return 1;
  }
  /* The library makes both directions' schedules, of which one is kept. */
  uint8_t other[AES_SCHEDULE] __attribute__((aligned(16)));
  int is_encrypting = cipher == culvert_burst_aes_ctr || keys->direction == IMB_DIR_ENCRYPT;
  void *encryption = is_encrypting ? keys->schedule.aes : other;
  void *decryption = is_encrypting ? other : keys->schedule.aes;
  int good = 1;
  switch (length) {
  case 16: manager->keyexp_128(key, encryption, decryption); break;
  case 24: manager->keyexp_192(key, encryption, decryption); break;
  case 32: manager->keyexp_256(key, encryption, decryption); break;
  default: good = 0;
  }
  explicit_bzero(other, sizeof other);
  keys->mode = cipher == culvert_burst_aes_ctr ? IMB_CIPHER_CNTR : IMB_CIPHER_CBC;
  keys->vector_length = 16;
  return good;
}

static int begin_hmac(culvert_burst_keys *keys, int bits, const uint8_t *key, size_t length) {
  const IMB_MGR *manager = library.manager;
  hash_one_block_t compress;
  size_t block_length = 64;
  switch (bits) {
  /* code_length is what the RFCs cut the code to, which the library writes at its best. */
  case 128: keys->hash = IMB_AUTH_MD5, compress = manager->md5_one_block, keys->code_length = 12; break;
  case 160: keys->hash = IMB_AUTH_HMAC_SHA_1, compress = manager->sha1_one_block, keys->code_length = 12; break;
  case 256: keys->hash = IMB_AUTH_HMAC_SHA_256, compress = manager->sha256_one_block, keys->code_length = 16; break;
  case 384:
    keys->hash = IMB_AUTH_HMAC_SHA_384, compress = manager->sha384_one_block, keys->code_length = 24;
    block_length = 128;
    break;
  case 512:
    keys->hash = IMB_AUTH_HMAC_SHA_512, compress = manager->sha512_one_block, keys->code_length = 32;
    block_length = 128;
    break;
  default: return 0;
  }
  if (length > block_length) return 0;
  uint8_t block[BLOCK_MAXIMUM] __attribute__((aligned(16)));
  memset(block, 0x36, block_length);
  for (size_t i = 0; i < length; i++) block[i] ^= key[i];
  compress(block, keys->inner);
  memset(block, 0x5c, block_length);
  for (size_t i = 0; i < length; i++) block[i] ^= key[i];
  compress(block, keys->outer);
  explicit_bzero(block, sizeof block);
  return 1;
}

culvert_burst_keys *culvert_burst_keys_create(int cipher, const uint8_t *key, size_t key_length, int hash_bits,
                                              const uint8_t *hash_key, size_t hash_key_length, int encrypt) {
  culvert_burst_keys *keys = allocate(sizeof *keys);
  if (keys == NULL) return NULL;
  memset(keys, 0, sizeof *keys);
  keys->direction = encrypt ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
  keys->order = encrypt ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
  if (expand_cipher_key(keys, cipher, key, key_length) && begin_hmac(keys, hash_bits, hash_key, hash_key_length))
    return keys;
  culvert_burst_keys_free(keys);
  return NULL;
}

void culvert_burst_keys_free(culvert_burst_keys *keys) {
  if (keys == NULL) return;
  explicit_bzero(keys, sizeof *keys);
  free(keys);
}

culvert_burst *culvert_burst_create(void) {
  IMB_MGR *manager = library.allocate(0);
  if (manager == NULL) return NULL;
  IMB_ARCH architecture;
  library.begin(manager, &architecture);
  return (culvert_burst *)manager;
}

void culvert_burst_free(culvert_burst *burst) {
  if (burst != NULL) library.release((IMB_MGR *)burst);
}

static inline void fill(IMB_JOB *target, culvert_burst_job *job) {
  const culvert_burst_keys *keys = job->keys;
  const void *schedule = keys->mode == IMB_CIPHER_DES3 ? (const void *)keys->des_keys : &keys->schedule;
  target->enc_keys = schedule;
  target->dec_keys = schedule;
  target->key_len_in_bytes = keys->key_length;
  target->src = job->packet;
  target->dst = job->packet + job->body_offset;
  target->cipher_start_src_offset_in_bytes = job->body_offset;
  target->msg_len_to_cipher_in_bytes = job->body_length;
  target->hash_start_src_offset_in_bytes = 0;
  target->msg_len_to_hash_in_bytes = job->authenticated_length;
  target->iv = job->vector;
  target->iv_len_in_bytes = keys->vector_length;
  target->auth_tag_output = job->code;
  target->auth_tag_output_len_in_bytes = keys->code_length;
  target->u.HMAC._hashed_auth_key_xor_ipad = keys->inner;
  target->u.HMAC._hashed_auth_key_xor_opad = keys->outer;
  target->cipher_mode = keys->mode;
  target->cipher_direction = keys->direction;
  target->hash_alg = keys->hash;
  target->chain_order = keys->order;
  target->user_data = job;
}

static inline void note(const IMB_JOB *finished) {
  ((culvert_burst_job *)finished->user_data)->is_done = finished->status == IMB_STATUS_COMPLETED;
}

void culvert_burst_run(culvert_burst *burst, culvert_burst_job *const *jobs, size_t count) {
  IMB_MGR *manager = (IMB_MGR *)burst;
  for (size_t i = 0; i < count; i++) {
    fill(IMB_GET_NEXT_JOB(manager), jobs[i]);
    for (const IMB_JOB *done = IMB_SUBMIT_JOB_NOCHECK(manager); done != NULL; done = IMB_GET_COMPLETED_JOB(manager))
      note(done);
  }
  for (const IMB_JOB *done = IMB_FLUSH_JOB(manager); done != NULL; done = IMB_FLUSH_JOB(manager)) note(done);
}

#else /* without the library */

int culvert_multibuffer_load(void) { return 0; }
const char *culvert_multibuffer_version(void) { return ""; }
const char *culvert_multibuffer_instructions(void) { return ""; }
int culvert_multibuffer_has_avx512(void) { return 0; }

culvert_gcm *culvert_gcm_create(const uint8_t *key, size_t key_length, int encrypt) {
  (void)key, (void)key_length, (void)encrypt;
  return NULL;
}
void culvert_gcm_free(culvert_gcm *gcm) { (void)gcm; }

culvert_burst_keys *culvert_burst_keys_create(int cipher, const uint8_t *key, size_t key_length, int hash_bits,
                                              const uint8_t *hash_key, size_t hash_key_length, int encrypt) {
  (void)cipher, (void)key, (void)key_length, (void)hash_bits, (void)hash_key, (void)hash_key_length, (void)encrypt;
  return NULL;
}
void culvert_burst_keys_free(culvert_burst_keys *keys) { (void)keys; }

culvert_burst *culvert_burst_create(void) { return NULL; }
void culvert_burst_free(culvert_burst *burst) { (void)burst; }
void culvert_burst_run(culvert_burst *burst, culvert_burst_job *const *jobs, size_t count) {
  (void)burst, (void)jobs, (void)count;
}

#endif
