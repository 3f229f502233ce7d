# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where: programs, headers, libweft both ways, weft.pc, man pages, the
# annotated configuration. libweft is every folder below the programs in one library.

set(libweft_parts base wire invite noise router gossip stream core link proxy store nodebase node)
set(libweft_objects)
foreach(part ${libweft_parts})
    list(APPEND libweft_objects $<TARGET_OBJECTS:weft_${part}>)
endforeach()
set(libweft_needs PkgConfig::SODIUM PkgConfig::CRYPTO PkgConfig::EVENT PkgConfig::SQLITE
    PkgConfig::JANSSON PkgConfig::YAML PkgConfig::MSGPACK Threads::Threads)

add_library(libweft_static STATIC ${libweft_objects})
add_library(libweft_shared SHARED ${libweft_objects})
target_link_libraries(libweft_static PUBLIC ${libweft_needs})
target_link_libraries(libweft_shared PRIVATE weft_flags ${libweft_needs})
target_link_options(libweft_shared PRIVATE
    -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/weft.map)
set_target_properties(libweft_static PROPERTIES OUTPUT_NAME weft LINKER_LANGUAGE C)
set_target_properties(libweft_shared PROPERTIES OUTPUT_NAME weft LINKER_LANGUAGE C
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
    LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/weft.map)
install(TARGETS libweft_static libweft_shared
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})

install(TARGETS weftd RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
if(TARGET weft)
    install(TARGETS weft RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET weft-sim)
    install(TARGETS weft-sim RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    # Where the program looks for them: beside itself (sim/library.c).
    install(DIRECTORY sim/scenarios DESTINATION ${CMAKE_INSTALL_DATADIR}/weft
        FILES_MATCHING PATTERN "*.yaml")
endif()
install(DIRECTORY include/weft DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")

# The prefix is only known at the time of installing (--prefix), so weft.pc is written then.
set(pc_template ${CMAKE_SOURCE_DIR}/cmake/weft.pc.in)
install(CODE "
    set(PROJECT_DESCRIPTION \"${PROJECT_DESCRIPTION}\")
    set(PROJECT_VERSION \"${PROJECT_VERSION}\")
    set(CMAKE_INSTALL_LIBDIR \"${CMAKE_INSTALL_LIBDIR}\")
    set(CMAKE_INSTALL_INCLUDEDIR \"${CMAKE_INSTALL_INCLUDEDIR}\")
    set(MSGPACK_MODULE_NAME \"${MSGPACK_MODULE_NAME}\")
    configure_file(\"${pc_template}\" \"${CMAKE_BINARY_DIR}/weft.pc\" @ONLY)")
install(FILES ${CMAKE_BINARY_DIR}/weft.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The programs are found by name in systemd's own path: /usr/local/bin, /usr/bin ...
install(FILES packaging/weft.service DESTINATION lib/systemd/system)

foreach(section 1 5 8)
    file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.${section})
    if(pages)
        install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
    endif()
endforeach()
if(EXISTS ${CMAKE_SOURCE_DIR}/docs/weft.yaml.example)
    install(FILES docs/weft.yaml.example DESTINATION ${CMAKE_INSTALL_DOCDIR})
endif()
