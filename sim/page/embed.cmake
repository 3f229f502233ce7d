# SPDX-License-Identifier: Apache-2.0
# cmake -D PAGE=this-folder -D OUT=page.c -P embed.cmake
#
# Puts every file that page.html names as @file:NAME@ in its place, and writes the page as two arrays
# of bytes: what stands before @run@ and what stands behind it.
cmake_minimum_required(VERSION 3.25)

file(READ ${PAGE}/page.html page)
string(REGEX MATCHALL "@file:[A-Za-z0-9./-]+@" marks "${page}")
foreach(mark IN LISTS marks)
    string(REGEX REPLACE "^@file:(.*)@$" "\\1" name ${mark})
    file(READ ${PAGE}/${name} text)
    # Either would end, or turn upside down, the element that the text is put into.
    string(TOLOWER "${text}" lower)
    foreach(bad "</script" "<!--" "</style" "@run@")
        string(FIND "${lower}" "${bad}" at)
        if(NOT at EQUAL -1)
            message(FATAL_ERROR "${name} holds ${bad}: it cannot stand inside the page")
        endif()
    endforeach()
    string(REPLACE "${mark}" "${text}" page "${page}")
endforeach()

string(FIND "${page}" "@run@" at)
string(FIND "${page}" "@run@" last REVERSE)
if(at EQUAL -1 OR NOT at EQUAL last)
    message(FATAL_ERROR "page.html must hold @run@ exactly once")
endif()
string(SUBSTRING "${page}" 0 ${at} head)
math(EXPR at "${at} + 5")
string(SUBSTRING "${page}" ${at} -1 tail)

set(code "/* Made by sim/page/embed.cmake from sim/page/page.html. */\n#include \"sim/page/page.h\"\n")
foreach(part head tail)
    file(WRITE ${OUT}.${part} "${${part}}")
    file(READ ${OUT}.${part} hex HEX)
    file(REMOVE ${OUT}.${part})
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
    string(APPEND code "const unsigned char page_${part}[] = {${bytes}};\n"
           "const size_t page_${part}_size = sizeof page_${part};\n")
endforeach()
file(WRITE ${OUT} "${code}")
