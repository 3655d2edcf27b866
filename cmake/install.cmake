# What `cmake --install` lays out: the libraries, their headers, the program, the recipes, and the
# package files behind find_package(batchwise).
include(CMakePackageConfigHelpers)

set(batchwise_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/batchwise)

install(TARGETS batchwise_ops batchwise_reference batchwise_cpu batchwise_emulation batchwise_engine
        EXPORT batchwise)
if(BATCHWISE_HAVE_CUDA)
  install(TARGETS batchwise_cuda EXPORT batchwise)
endif()
install(TARGETS batchwise)
install(DIRECTORY kernels engine DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/batchwise
        FILES_MATCHING PATTERN "*.h")
install(DIRECTORY apps/recipes/ DESTINATION ${CMAKE_INSTALL_DATADIR}/batchwise/recipes
        FILES_MATCHING PATTERN "*.toml")

install(EXPORT batchwise NAMESPACE batchwise:: FILE batchwiseTargets.cmake
        DESTINATION ${batchwise_package_dir})
configure_package_config_file(cmake/batchwiseConfig.cmake.in batchwiseConfig.cmake
        INSTALL_DESTINATION ${batchwise_package_dir})
write_basic_package_version_file(batchwiseConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/batchwiseConfig.cmake
              ${PROJECT_BINARY_DIR}/batchwiseConfigVersion.cmake
        DESTINATION ${batchwise_package_dir})
