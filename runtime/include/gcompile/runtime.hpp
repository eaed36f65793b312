// Thin C++ wrapper of gcompile/runtime.h: handles that close themselves, nothing else. Errors stay
// gc_status and gc_last_message().
#pragma once

#include "gcompile/runtime.h"

namespace gcompile {

class Model {
public:
  Model() = default;
  Model(Model &&other) noexcept : handle(other.handle) { other.handle = nullptr; }
  Model &operator=(Model &&other) noexcept {
    if (this != &other) {
      gc_close(handle);
      handle = other.handle;
      other.handle = nullptr;
    }
    return *this;
  }
  ~Model() { gc_close(handle); }

  [[nodiscard]] gc_status open(const char *path, const gc_open_options *options = nullptr) {
    gc_close(handle);
    handle = nullptr;
    return gc_open(path, options, &handle);
  }
  gc_model_info info() const {
    gc_model_info result;
    gc_get_model_info(handle, &result);
    return result;
  }
  const gc_model *get() const { return handle; }
  explicit operator bool() const { return handle != nullptr; }

private:
  gc_model *handle = nullptr;
};

// Keep the model open for as long as its sessions.
class Session {
public:
  Session() = default;
  Session(Session &&other) noexcept : handle(other.handle) { other.handle = nullptr; }
  Session &operator=(Session &&other) noexcept {
    if (this != &other) {
      gc_session_destroy(handle);
      handle = other.handle;
      other.handle = nullptr;
    }
    return *this;
  }
  ~Session() { gc_session_destroy(handle); }

  [[nodiscard]] gc_status create(const Model &model, const gc_session_options *options = nullptr) {
    gc_session_destroy(handle);
    handle = nullptr;
    return gc_session_create(model.get(), options, &handle);
  }
  gc_session *get() const { return handle; }
  explicit operator bool() const { return handle != nullptr; }

private:
  gc_session *handle = nullptr;
};

} // namespace gcompile
