# What `cmake --install` does besides the binary. Run when it installs, since only then the prefix
# is certain, and these files name it: /etc and systemd's own places for /usr, folders of the prefix
# for any other. SRC, BUILD: the folders of sources and build; VERSION; the DIR_* are relative to the prefix.
cmake_policy(VERSION 3.25)
set(prefix ${CMAKE_INSTALL_PREFIX})
string(REGEX REPLACE "/+$" "" prefix "${prefix}")
set(BIN ${prefix}/${DIR_BIN})
set(DOC ${prefix}/${DIR_DOC})
if(prefix STREQUAL "/usr")
  set(ETC /etc/switchhook)
else()
  set(ETC ${prefix}/etc/switchhook)
endif()
set(UNITS ${prefix}/lib/systemd/system)
# systemd makes a StateDirectory itself, below /var/lib.
if(prefix STREQUAL "/usr" OR prefix STREQUAL "/usr/local")
  set(STATE /var/lib/switchhook)
  set(STATE_LINES "StateDirectory=switchhook\nStateDirectoryMode=0700")
else()
  set(STATE ${prefix}/var/lib/switchhook)
  set(STATE_LINES "ReadWritePaths=${STATE}")
endif()

set(made ${BUILD}/package)
file(MAKE_DIRECTORY ${made})
foreach(name switchhook.service switchhook.socket switchhook.sysusers switchhook.lua)
  configure_file(${SRC}/engine/package/${name}.in ${made}/${name} @ONLY)
endforeach()
file(RENAME ${made}/switchhook.sysusers ${made}/switchhook.conf)

file(INSTALL ${made}/switchhook.service ${made}/switchhook.socket
  DESTINATION ${UNITS} TYPE FILE)
file(INSTALL ${made}/switchhook.conf DESTINATION ${prefix}/lib/sysusers.d TYPE FILE)
file(INSTALL ${made}/switchhook.lua DESTINATION ${ETC} TYPE FILE)
file(GLOB rules ${SRC}/rules/*.lua)
file(INSTALL ${rules} DESTINATION ${ETC}/rules TYPE FILE)
file(GLOB scripts ${SRC}/scripts/*.lua)
file(INSTALL ${scripts} DESTINATION ${ETC}/scripts TYPE FILE)

# The pages lie otherwise to one another than in the sources: the examples are below the documentation.
file(GLOB_RECURSE pages RELATIVE ${SRC} ${SRC}/docs/*.md ${SRC}/examples/*.md)
list(FILTER pages EXCLUDE REGEX "^examples/demo/")
foreach(page IN LISTS pages)
  file(READ ${SRC}/${page} text)
  string(REPLACE "](../examples/" "](examples/" text "${text}")
  string(REPLACE "](../docs/" "](../" text "${text}")
  string(REPLACE "](../../docs/" "](../../" text "${text}")
  string(REPLACE "](../../scripts/)" "](${ETC}/scripts/)" text "${text}")
  string(REGEX REPLACE "\n[^\n]*\\(demo/\\)[^\n]*" "" text "${text}") # not installed
  string(REGEX REPLACE "^docs/" "" page ${page})
  file(WRITE ${made}/doc/${page} "${text}")
endforeach()
file(INSTALL ${made}/doc/ DESTINATION ${prefix}/${DIR_DOC} TYPE DIRECTORY)

# Manual pages and completion: the program knows its commands itself.
function(say out)
  execute_process(COMMAND ${BUILD}/switchhook ${ARGN} OUTPUT_FILE ${out} COMMAND_ERROR_IS_FATAL ANY)
endfunction()
file(REMOVE_RECURSE ${made}/man)
say(/dev/null manual ${made}/man)
say(${made}/switchhook completion bash)
say(${made}/_switchhook completion zsh)
say(${made}/switchhook.fish completion fish)
file(INSTALL ${made}/switchhook DESTINATION ${prefix}/share/bash-completion/completions TYPE FILE)
file(INSTALL ${made}/switchhook.fish DESTINATION ${prefix}/share/fish/vendor_completions.d
  TYPE FILE)
set(zsh site-functions)
file(GLOB pages ${made}/man/*.1)
if(prefix STREQUAL "/usr") # as Debian has it
  set(zsh vendor-completions)
  execute_process(COMMAND gzip -9n ${pages} COMMAND_ERROR_IS_FATAL ANY)
  file(GLOB pages ${made}/man/*.1.gz)
endif()
file(INSTALL ${made}/_switchhook DESTINATION ${prefix}/share/zsh/${zsh} TYPE FILE)
file(INSTALL ${pages} DESTINATION ${prefix}/${DIR_MAN}/man1 TYPE FILE)

# What Debian's policy wants beside it, for the package alone.
if(NOT prefix STREQUAL "/usr")
  file(INSTALL ${SRC}/LICENSE DESTINATION ${DOC} TYPE FILE)
  return()
endif()
file(STRINGS ${SRC}/LICENSE lines)
list(REMOVE_AT lines 0 1 2 3) # the title and the copyright line
set(LICENSE_TEXT "")
foreach(line IN LISTS lines)
  if(line STREQUAL "")
    set(line .)
  endif()
  string(APPEND LICENSE_TEXT " ${line}\n")
endforeach()
configure_file(${SRC}/engine/package/debian/copyright.in ${made}/copyright @ONLY)
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # of SOURCE_DATE_EPOCH, if it is set
file(WRITE ${made}/changelog "switchhook (${VERSION}) stable; urgency=medium

  * What has changed is in ${DOC}/CHANGELOG.md.

 -- the switchhook authors <switchhook@localhost>  ${date}
")
execute_process(COMMAND gzip -9nkf ${made}/changelog COMMAND_ERROR_IS_FATAL ANY)
file(INSTALL ${made}/copyright ${made}/changelog.gz DESTINATION ${DOC} TYPE FILE)
file(INSTALL ${SRC}/engine/package/debian/lintian-overrides DESTINATION ${prefix}/share/lintian/overrides
  TYPE FILE RENAME switchhook)
set(conffiles "")
foreach(path ${ETC}/switchhook.lua ${rules} ${scripts})
  string(REPLACE ${SRC}/ ${ETC}/ path ${path})
  string(APPEND conffiles "${path}\n")
endforeach()
file(WRITE ${made}/conffiles "${conffiles}")
