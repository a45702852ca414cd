# SPDX-License-Identifier: Apache-2.0
# CUDA is used where nvcc >= 12.3 is found and never required: sets VIC_HAVE_CUDA and VIC_CUDA_VERSION, and says which.
set(VIC_HAVE_CUDA FALSE)
set(VIC_CUDA_VERSION "")
if(NOT VIC_CUDA STREQUAL "OFF")
  find_program(VIC_NVCC nvcc PATHS /usr/local/cuda/bin ENV CUDA_PATH PATH_SUFFIXES bin)
  if(VIC_NVCC)
    execute_process(COMMAND ${VIC_NVCC} --version OUTPUT_VARIABLE nvcc_says ERROR_QUIET)
    string(REGEX MATCH "release ([0-9]+\\.[0-9]+)" ignored "${nvcc_says}")
    set(VIC_CUDA_VERSION "${CMAKE_MATCH_1}")
  endif()
  if(VIC_CUDA_VERSION AND VIC_CUDA_VERSION VERSION_GREATER_EQUAL 12.3)
    set(VIC_HAVE_CUDA TRUE)
    set(why "nvcc ${VIC_CUDA_VERSION} found: compiled for sm_90a")
  elseif(VIC_CUDA_VERSION)
    set(why "nvcc ${VIC_CUDA_VERSION} is older than 12.3: not compiled")
  else()
    set(why "no nvcc found: not compiled")
  endif()
  if(VIC_CUDA STREQUAL "ON" AND NOT VIC_HAVE_CUDA)
    message(FATAL_ERROR "VIC_CUDA=ON, but ${why}")
  endif()
else()
  set(why "switched off by VIC_CUDA=OFF")
endif()
message(STATUS "CUDA kernels: ${why}")

if(VIC_HAVE_CUDA)
  set(CMAKE_CUDA_COMPILER ${VIC_NVCC})
  set(CMAKE_CUDA_ARCHITECTURES OFF) # sm_90a is given below: the suffix is not known to every CMake that we accept
  set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
  enable_language(CUDA)
  set(CMAKE_CUDA_STANDARD 17)
endif()

# A static library of kernels.  The CUDA runtime is linked statically and loads the driver by itself when it is first
# used, so the binary starts on a machine that has neither GPU nor driver.
function(vicinal_add_cuda target)
  add_library(${target} STATIC ${ARGN})
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON CUDA_VISIBILITY_PRESET hidden
    LINKER_LANGUAGE CXX)
  target_include_directories(${target} PRIVATE include src)
  target_compile_definitions(${target} INTERFACE VIC_HAVE_CUDA=1) # whoever links it may refer to it
  target_compile_options(${target} PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:-gencode=arch=compute_90a,code=sm_90a -Xcompiler=-Wall,-Wextra -lineinfo>)
endfunction()
