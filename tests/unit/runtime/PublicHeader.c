// The public header is C11 and enough by itself: compiling and linking this is the test.
#include "gcompile/runtime.h"

static int answer(const char *path, const char *question, size_t bytes) {
  gc_model *model = NULL;
  gc_session *session = NULL;
  int32_t tokens[256];
  size_t count = 0;
  gc_message message = {.role = GC_ROLE_USER, .text = question, .bytes = bytes};
  gc_chat chat = {
      .messages = &message, .message_count = 1, .flags = GC_CHAT_START | GC_CHAT_GENERATE};
  gc_sampling sampling;
  gc_status status = gc_open(path, NULL, &model);
  if (status == GC_OK)
    status = gc_session_create(model, NULL, &session);
  if (status == GC_OK)
    status = gc_chat_tokens(model, &chat, tokens, 256, &count);
  if (status == GC_OK && count <= 256)
    status = gc_prefill(session, tokens, count);
  if (status == GC_OK) {
    gc_default_sampling(model, &sampling);
    status = gc_sample(session, &sampling, tokens);
  }
  gc_session_destroy(session);
  gc_close(model);
  return status;
}

int publicHeaderIsC11(void);
int publicHeaderIsC11(void) { return answer("", "", 0) == GC_CANNOT_READ; }
