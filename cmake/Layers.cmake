# gc_add_library(NAME LAYER <layer> SOURCES … [DEPENDS …] [MLIR] [TABLEGEN …]): a static library that knows its layer.
# Configuring fails when a library depends on one of a layer that its own may not see.
#
# layer      may depend on
# abi        –                              (headers only)
# format     –                              (standard library only: format facts, encoders)
# runtime    abi
# ir         format
# model      format                         (pure cost, memory, quality models and planning: no MLIR)
# passes     ir format model
# targets    passes ir format
# compiler   everything but runtime's insides (abi, runtime's public API in compiler/Measure)
set(GC_LAYER_abi "abi")
set(GC_LAYER_format "format")
set(GC_LAYER_runtime "runtime;abi")
set(GC_LAYER_ir "ir;format")
set(GC_LAYER_model "model;format")
set(GC_LAYER_passes "passes;ir;format;model")
set(GC_LAYER_targets "targets;passes;ir;format")
set(GC_LAYER_compiler "compiler;targets;passes;ir;format;model;abi")

function(gc_add_library name)
  cmake_parse_arguments(A "MLIR" "LAYER" "SOURCES;DEPENDS;TABLEGEN" ${ARGN})
  if(NOT DEFINED GC_LAYER_${A_LAYER})
    message(FATAL_ERROR "library '${name}' names layer '${A_LAYER}', which cmake/Layers.cmake does not know")
  endif()
  add_library(${name} STATIC ${A_SOURCES})
  set_property(TARGET ${name} PROPERTY GC_LAYER ${A_LAYER})
  foreach(dependency ${A_DEPENDS})
    if(TARGET ${dependency})
      get_property(other TARGET ${dependency} PROPERTY GC_LAYER)
      if(other AND NOT other IN_LIST GC_LAYER_${A_LAYER})
        message(FATAL_ERROR "library '${name}' (layer ${A_LAYER}) may not depend on '${dependency}' (layer ${other}); see cmake/Layers.cmake")
      endif()
    endif()
  endforeach()
  target_link_libraries(${name} PUBLIC ${A_DEPENDS})
  if(A_MLIR)
    target_link_libraries(${name} PUBLIC gc_mlir)
    if(GC_PCH_TARGET)
      target_precompile_headers(${name} REUSE_FROM ${GC_PCH_TARGET})
    endif()
  endif()
  if(A_TABLEGEN)
    add_dependencies(${name} ${A_TABLEGEN})
  endif()
  target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions> -Werror=unused-result)
endfunction()
