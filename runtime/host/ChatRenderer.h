// Renders a conversation in Gemma's turn form, as the checkpoint's template would
// (runtime/abi/gc_artifact.h says what was found in it).
#pragma once

#include "runtime/host/Model.h"
#include "runtime/host/Rendering.h"

namespace gcompile::runtime {

// Appends the conversation. GC_BAD_ARGUMENT: something in it has no form; GC_NO_MEMORY.
Status renderChat(const gc_turn_form &form, const gc_chat &chat, Rendering &out, Message &message);

} // namespace gcompile::runtime
