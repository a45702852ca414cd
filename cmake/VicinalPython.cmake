# SPDX-License-Identifier: Apache-2.0
# libvicinal_python.so, what the Python package adds to the library (python/glue), and what goes into its wheel.
file(GLOB glue_sources CONFIGURE_DEPENDS python/glue/*.c)
add_library(vicinal_python SHARED ${glue_sources})
target_link_libraries(vicinal_python PRIVATE vicinal vicinal_warnings Threads::Threads ${CMAKE_DL_LIBS})
target_compile_options(vicinal_python PRIVATE -fexceptions) # torch's errors pass through
set_target_properties(vicinal_python PROPERTIES C_VISIBILITY_PRESET hidden LINKER_LANGUAGE C)

# Into the package's folders lib and bin.  A wheel has no links, so a library's file has the name that the loader asks
# for; they find each other beside themselves, and bring the pieces of the C++ runtime that they need.
function(vicinal_wheel)
  set(libraries vicinal vicinal_python)
  if(VIC_STRUCTURE_FILES)
    list(APPEND libraries vicinal_structure)
    set_target_properties(vicinal_structure PROPERTIES VERSION ${VIC_SOVERSION})
    target_link_options(vicinal_structure PRIVATE -static-libstdc++ -static-libgcc)
  endif()
  set_target_properties(vicinal PROPERTIES VERSION ${VIC_SOVERSION})
  set_target_properties(${libraries} PROPERTIES INSTALL_RPATH $ORIGIN)
  target_link_options(vicinal_cli PRIVATE -static-libstdc++ -static-libgcc)
  install(TARGETS ${libraries} LIBRARY DESTINATION lib NAMELINK_SKIP)
  install(TARGETS vicinal_cli RUNTIME DESTINATION bin)
endfunction()
