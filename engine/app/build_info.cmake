# SPDX-License-Identifier: MIT
# cmake -DOUT=... -DSRC=... -DCOMMIT=... -DTYPE=... -DFLAGS=... -DSANITIZE=... -P build_info.cmake
# Writes OUT, build_info.h's values, and leaves it alone when they are as before.
set(commit "${COMMIT}")
set(date "unknown")
find_program(GIT git)
set(top "")
if(GIT)
  execute_process(COMMAND ${GIT} --no-optional-locks -C ${SRC} rev-parse --show-toplevel OUTPUT_VARIABLE top
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  get_filename_component(top "${top}" REALPATH)
endif()
get_filename_component(src "${SRC}" REALPATH)
if("${top}" STREQUAL "${src}") # and not another tree around an unpacked archive
  if("${commit}" STREQUAL "")
    execute_process(COMMAND ${GIT} --no-optional-locks -C ${SRC} describe --always --abbrev=12 --dirty --exclude=*
      OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  execute_process(COMMAND ${CMAKE_COMMAND} -E env TZ=UTC ${GIT} --no-optional-locks -C ${SRC} log -1
    --format=%cd --date=format-local:%Y-%m-%d
    OUTPUT_VARIABLE date OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(DEFINED ENV{SOURCE_DATE_EPOCH})
  string(TIMESTAMP date "%Y-%m-%d" UTC) # CMake takes that variable in place of the clock
endif()
foreach(name commit date)
  if("${${name}}" STREQUAL "")
    set(${name} "unknown")
  endif()
endforeach()
string(REGEX REPLACE "[ ;]+" " " flags "${FLAGS}")
string(STRIP "${flags}" flags)
string(REGEX REPLACE "([\"\\])" "\\\\\\1" flags "${flags}")
set(text "/* written by engine/app/build_info.cmake */
#include \"app/build_info.h\"
const struct sh_build_info sh_build_info = {
    .commit = \"${commit}\",
    .date = \"${date}\",
    .type = \"${TYPE}\",
    .flags = \"${flags}\",
    .sanitize = \"${SANITIZE}\",
};
")
set(before "")
if(EXISTS ${OUT})
  file(READ ${OUT} before)
endif()
if(NOT before STREQUAL text)
  file(WRITE ${OUT} "${text}")
endif()
