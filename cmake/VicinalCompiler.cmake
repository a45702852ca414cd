# SPDX-License-Identifier: Apache-2.0
# Language level, warnings, floating-point rules, sanitizers.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
# The pair rule must round the same way everywhere: no a*b+c in one rounding.  Kernels turn it on for themselves.
add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-ffp-contract=off>)
# Nobody asks errno about a square root, and without it loops over sqrt() can be vectors.
add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-fno-math-errno>)
string(REPLACE "-O2" "-O3" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")

add_library(vicinal_warnings INTERFACE)
target_compile_options(vicinal_warnings INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wvla -Wstrict-prototypes
    -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef>
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra>)
if(VIC_WERROR)
  target_compile_options(vicinal_warnings INTERFACE $<$<COMPILE_LANGUAGE:C,CXX>:-Werror>)
endif()

if(VIC_SANITIZE)
  add_compile_options($<$<COMPILE_LANGUAGE:C,CXX>:-fsanitize=${VIC_SANITIZE}>
    $<$<COMPILE_LANGUAGE:C,CXX>:-fno-omit-frame-pointer>
    $<$<COMPILE_LANGUAGE:C,CXX>:-fno-sanitize-recover=all>)
  add_link_options(-fsanitize=${VIC_SANITIZE})
  find_program(VIC_LLD ld.lld) # links a hundred programs in a third of the time
  if(VIC_LLD)
    add_link_options(-fuse-ld=lld)
  endif()
  if(CMAKE_C_COMPILER_ID MATCHES "Clang")
    # A library that checks this needs C++'s part of the runtime, which programs in C do not have.
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fno-sanitize=vptr>)
    foreach(sanitizer ADDRESS THREAD) # what gcc defines, and tests ask for
      string(TOUPPER "${VIC_SANITIZE}" sanitizers)
      if(sanitizers MATCHES ${sanitizer})
        add_compile_definitions($<$<COMPILE_LANGUAGE:C>:__SANITIZE_${sanitizer}__=1>)
      endif()
    endforeach()
  endif()
endif()

# For tests with sanitizers, where a source takes longer to compile than to run.  Not for pictures, which are drawn often.
function(vicinal_unoptimised) # SOURCE...
  if(VIC_SANITIZE AND VIC_TESTS)
    list(FILTER ARGN EXCLUDE REGEX "/plots/")
    set_property(SOURCE ${ARGN} APPEND PROPERTY COMPILE_OPTIONS -O0)
  endif()
endfunction()

# What libFuzzer watches.  Not the kernels: no input reaches them, and counting their branches would take long in tests.
function(vicinal_watched) # SOURCE...
  if(VIC_FUZZ)
    list(FILTER ARGN EXCLUDE REGEX "/src/kernels/")
    set_property(SOURCE ${ARGN} APPEND PROPERTY COMPILE_OPTIONS -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# Bodies compiled once per instruction set, with the choice at run time: src/kernels/cpu/attention_body.h,
# src/kernels/cpu/attention_backward_body.h and src/pattern/blocks_body.h.  None holds the pair rule, so a*b+c may be one
# rounding there.
function(vicinal_kernel_flags)
  foreach(body kernels/cpu/attention kernels/cpu/attention_backward pattern/blocks)
    set(path ${CMAKE_CURRENT_SOURCE_DIR}/src/${body})
    set_source_files_properties(${path}_scalar.c PROPERTIES COMPILE_OPTIONS "-ffp-contract=fast;-O3")
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
      set_source_files_properties(${path}_avx2.c PROPERTIES
        COMPILE_OPTIONS "-ffp-contract=fast;-O3;-mavx2;-mfma;-mpopcnt")
      set_source_files_properties(${path}_avx512.c PROPERTIES
        COMPILE_OPTIONS "-ffp-contract=fast;-O3;-mavx512f;-mavx512bw;-mavx512vl;-mavx512dq;-mfma;-mpopcnt;-mprefer-vector-width=512")
    endif()
  endforeach()
endfunction()

# What vic_build_info() says.
function(vicinal_build_info target)
  find_package(Git QUIET)
  set(commit "")
  if(Git_FOUND)
    execute_process(COMMAND ${GIT_EXECUTABLE} -C ${CMAKE_CURRENT_SOURCE_DIR} describe --always --dirty
      OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  if(NOT commit)
    set(commit "unknown")
  endif()
  if(VIC_HAVE_CUDA)
    set(with "CUDA ${VIC_CUDA_VERSION} (sm_90a)")
  else()
    set(with "no CUDA")
  endif()
  if(NOT VIC_STRUCTURE_FILES)
    string(APPEND with ", no readers of structure files")
  endif()
  set_property(SOURCE ${CMAKE_CURRENT_SOURCE_DIR}/src/api/vic_env.c APPEND PROPERTY COMPILE_DEFINITIONS
    "VIC_BUILD_INFO=\"${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}, ${CMAKE_BUILD_TYPE}, ${with}, commit ${commit}\"")
endfunction()
