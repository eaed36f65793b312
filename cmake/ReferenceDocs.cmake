# Target `docs`: reference pages of the dialects and passes, generated from their .td files into <build>/docs as plain Markdown.
# (add_mlir_doc would write Hugo's short codes into them.)
set(GC_REFERENCE_DOCS "")
function(gc_reference_doc name file)
  set(page ${PROJECT_BINARY_DIR}/docs/${name}.md)
  add_custom_command(OUTPUT ${page} COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/docs
    COMMAND ${MLIR_TABLEGEN_EXE} ${ARGN} -I ${PROJECT_SOURCE_DIR} -I ${MLIR_INCLUDE_DIRS} ${PROJECT_SOURCE_DIR}/${file} -o ${page}
    DEPENDS ${PROJECT_SOURCE_DIR}/${file} COMMENT "reference page ${name}" VERBATIM)
  set(GC_REFERENCE_DOCS ${GC_REFERENCE_DOCS} ${page} PARENT_SCOPE)
endfunction()

gc_reference_doc(gemma-dialect ir/Gemma/GemmaOps.td -gen-dialect-doc -dialect=gemma)
gc_reference_doc(kernel-dialect ir/Kernel/KernelOps.td -gen-dialect-doc -dialect=kernel)
if(EXISTS ${PROJECT_SOURCE_DIR}/passes/Passes.td)
  gc_reference_doc(passes passes/Passes.td -gen-pass-doc)
endif()
add_custom_target(docs DEPENDS ${GC_REFERENCE_DOCS})
