# SPDX-License-Identifier: Apache-2.0
# libvicinal_python.so, what the Python package adds to the library: python/glue.
file(GLOB glue_sources CONFIGURE_DEPENDS python/glue/*.c)
add_library(vicinal_python SHARED ${glue_sources})
target_link_libraries(vicinal_python PRIVATE vicinal vicinal_warnings Threads::Threads ${CMAKE_DL_LIBS})
target_compile_options(vicinal_python PRIVATE -fexceptions) # torch's errors pass through
set_target_properties(vicinal_python PROPERTIES C_VISIBILITY_PRESET hidden LINKER_LANGUAGE C)
