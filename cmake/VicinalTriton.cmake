# SPDX-License-Identifier: Apache-2.0
# libtriton_vicinal.so, the backend of Triton Inference Server (apps/triton).  Triton's functions stay undefined: they
# are the server's that loads it, from DIR of its --backend-directory=DIR as DIR/vicinal/libtriton_vicinal.so.
file(GLOB triton_sources CONFIGURE_DEPENDS apps/triton/*.c)
add_library(triton_vicinal MODULE ${triton_sources})
target_link_libraries(triton_vicinal PRIVATE vicinal vicinal_warnings Threads::Threads ${CMAKE_DL_LIBS})
set(VIC_TRITON_DIR ${CMAKE_INSTALL_LIBDIR}/vicinal/triton/backends/vicinal)
file(RELATIVE_PATH triton_to_libraries ${CMAKE_INSTALL_PREFIX}/${VIC_TRITON_DIR} ${CMAKE_INSTALL_FULL_LIBDIR})
string(REGEX REPLACE "/$" "" triton_to_libraries ${triton_to_libraries})
set_target_properties(triton_vicinal PROPERTIES C_VISIBILITY_PRESET hidden LINKER_LANGUAGE C
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/triton/backends/vicinal
  INSTALL_RPATH "$ORIGIN/${triton_to_libraries};$ORIGIN")
# libvicinal_structure is opened where a model needs it, and found by the same path.
target_link_options(triton_vicinal PRIVATE LINKER:--version-script=${CMAKE_CURRENT_SOURCE_DIR}/cmake/triton.map)
install(TARGETS triton_vicinal LIBRARY DESTINATION ${VIC_TRITON_DIR})
