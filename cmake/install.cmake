# SPDX-License-Identifier: Apache-2.0
install(DIRECTORY include/weft DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
