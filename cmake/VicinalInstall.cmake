# SPDX-License-Identifier: Apache-2.0
# cmake --install BUILD [--prefix P]: the command, the shared library, its header, and what pkg-config and
# find_package(vicinal) need.  The tree may be moved afterwards: nothing in it names P.
include(CMakePackageConfigHelpers)
set(VIC_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/vicinal)

set(installed vicinal)
set(headers include/vicinal.h include/vicinal_engine.h include/vicinal_dist.h include/vicinal_dev.h include/vicinal_dlpack.h)
set(packages vicinal)
if(VIC_STRUCTURE_FILES)
  list(APPEND installed vicinal_structure)
  list(APPEND headers include/vicinal_structure.h)
  list(APPEND packages vicinal_structure)
endif()
install(TARGETS ${installed} EXPORT vicinalTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS vicinal_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The .pc files find the prefix from their own place.
file(RELATIVE_PATH VIC_PC_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
file(RELATIVE_PATH VIC_PC_LIBDIR ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_LIBDIR})
file(RELATIVE_PATH VIC_PC_INCLUDEDIR ${CMAKE_INSTALL_PREFIX} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
foreach(package ${packages})
  configure_file(cmake/${package}.pc.in ${package}.pc @ONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${package}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

# Before 1.0 a minor version may change the interface.
install(EXPORT vicinalTargets NAMESPACE vicinal:: DESTINATION ${VIC_CMAKE_DIR})
configure_package_config_file(cmake/vicinalConfig.cmake.in vicinalConfig.cmake INSTALL_DESTINATION ${VIC_CMAKE_DIR}
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(vicinalConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/vicinalConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/vicinalConfigVersion.cmake
  DESTINATION ${VIC_CMAKE_DIR})
