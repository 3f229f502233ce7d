# SPDX-License-Identifier: Apache-2.0
# Build rules in one place: warnings, sanitizers, and one helper each for a library, a program and a test.

option(WEFT_WERROR "Treat warnings as errors" OFF)
set(WEFT_SANITIZE "" CACHE STRING "Sanitizers to build with: address,undefined or thread")
option(WEFT_COVERAGE "Instrument for coverage" OFF)
option(WEFT_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(WEFT_DEFECTS "Compile planted defects in, to prove the simulator's checkers (never installed)" OFF)

add_library(weft_flags INTERFACE)
target_include_directories(weft_flags INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
target_compile_definitions(weft_flags INTERFACE _GNU_SOURCE WEFT_VERSION="${PROJECT_VERSION}")
target_compile_options(weft_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wvla -Wundef -Wstrict-prototypes
    -Wmissing-prototypes -Wswitch-enum -Wformat=2 -Wcast-qual -Wpointer-arith -Wwrite-strings
    -Wimplicit-fallthrough -fno-common
    # Texts for people are cut on purpose, by snprintf, at a stated size; clang has no such warning.
    -Wno-format-truncation -Wno-unknown-warning-option
    $<$<BOOL:${WEFT_WERROR}>:-Werror>)

if(WEFT_SANITIZE)
    target_compile_options(weft_flags INTERFACE
        -fsanitize=${WEFT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_compile_definitions(weft_flags INTERFACE WEFT_SANITIZED)
    target_link_options(weft_flags INTERFACE -fsanitize=${WEFT_SANITIZE})
endif()
if(WEFT_FUZZ)
    target_compile_options(weft_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(WEFT_DEFECTS)
    target_compile_definitions(weft_flags INTERFACE WEFT_DEFECTS)
endif()
if(WEFT_COVERAGE)
    target_compile_options(weft_flags INTERFACE --coverage -fprofile-update=atomic)
    target_link_options(weft_flags INTERFACE --coverage)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
    target_compile_options(weft_flags INTERFACE
        -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
        target_compile_options(weft_flags INTERFACE -fcf-protection=full)
    elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
        target_compile_options(weft_flags INTERFACE -mbranch-protection=standard)
    endif()
    target_link_options(weft_flags INTERFACE -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack)
    # The layers call each other in small steps: a fifth of the simulator's time was their calls.
    include(CheckIPOSupported)
    check_ipo_supported(RESULT WEFT_HAS_IPO LANGUAGES C)
    if(WEFT_HAS_IPO AND NOT WEFT_SANITIZE AND NOT WEFT_COVERAGE AND NOT WEFT_FUZZ)
        set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
        set(WEFT_IPO ON)
        # Objects hold machine code too, for the programs that are linked without it.
        if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
            target_compile_options(weft_flags INTERFACE -ffat-lto-objects)
        endif()
    endif()
endif()

# weft_link_fast(TARGET): no optimization across files: of forty test programs it took minutes.
function(weft_link_fast target)
    if(WEFT_IPO AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
        set_target_properties(${target} PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
        target_link_options(${target} PRIVATE -fno-lto -fno-use-linker-plugin)
    endif()
endfunction()

# weft_library(NAME SOURCES a.c ... [DEPS lib ...]): the static library weft_NAME of one src folder.
function(weft_library name)
    cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
    add_library(weft_${name} STATIC ${arg_SOURCES})
    target_link_libraries(weft_${name} PUBLIC weft_flags ${arg_DEPS})
endfunction()

# weft_program(NAME SOURCES a.c ... [DEPS lib ...]): an installable program in bin/.
function(weft_program name)
    cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
    add_executable(${name} ${arg_SOURCES})
    target_link_libraries(${name} PRIVATE weft_flags ${arg_DEPS})
    if(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
        set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
        target_link_options(${name} PRIVATE -pie)
    endif()
endfunction()

# weft_test(NAME SOURCES a.c ... [DEPS lib ...]): one Criterion program, one ctest entry.
# Criterion prints a leak or an overflow that a sanitizer found and still passes, hence the expression.
# Under ThreadSanitizer Criterion cannot map its shared arena and dies before the first test, so there
# these programs are only built: threads are watched by store_threads and the daemon tests.
function(weft_test name)
    cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
    add_executable(test_${name} ${arg_SOURCES})
    target_link_libraries(test_${name} PRIVATE weft_flags ${arg_DEPS} criterion)
    target_include_directories(test_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    weft_link_fast(test_${name})
    if(WEFT_SANITIZE MATCHES "thread")
        return()
    endif()
    add_test(NAME ${name} COMMAND test_${name} --jobs 2 --timeout 120)
    set_tests_properties(${name} PROPERTIES
        FAIL_REGULAR_EXPRESSION "ERROR: [A-Za-z]+Sanitizer|runtime error:" TIMEOUT 300)
endfunction()

# weft_fuzz(NAME [SOURCES a.c ...] [DEPS lib ...]): tests/fuzz/fuzz_NAME.c, as a libFuzzer program
# with WEFT_FUZZ, else with a main that replays files; either way one ctest entry over its corpus.
function(weft_fuzz name)
    cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
    set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
    add_executable(fuzz_${name} fuzz_${name}.c ${arg_SOURCES})
    target_link_libraries(fuzz_${name} PRIVATE weft_flags ${arg_DEPS})
    target_include_directories(fuzz_${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    weft_link_fast(fuzz_${name})
    if(WEFT_FUZZ)
        target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
        add_test(NAME fuzz_${name} COMMAND fuzz_${name} -runs=0 ${corpus})
    else()
        target_sources(fuzz_${name} PRIVATE replay.c)
        add_test(NAME fuzz_${name} COMMAND fuzz_${name} ${corpus})
    endif()
    set_tests_properties(fuzz_${name} PROPERTIES
        FAIL_REGULAR_EXPRESSION "ERROR: [A-Za-z]+Sanitizer|runtime error:" TIMEOUT 120)
endfunction()
