# Writes ${OUT}: the console's files as the table sh_console_files (console_files.h): the bundle that
# esbuild makes of ${SRC} with the packages of ${MODULES}, its style sheet, the page itself, and each
# of them gzipped. ${DIR} is a folder to work in. Names of bundle and style sheet hold a hash of what
# is in them, so that browsers may keep them for ever.
file(REMOVE_RECURSE ${DIR})
file(MAKE_DIRECTORY ${DIR})
execute_process(
  COMMAND ${CMAKE_COMMAND} -E env NODE_PATH=${MODULES} ${ESBUILD} ${SRC}/console.jsx --bundle --minify
    --target=es2020 --format=iife --jsx=automatic --jsx-import-source=preact --legal-comments=none
    --charset=utf8 --entry-names=[name]-[hash] --outdir=${DIR} --log-level=warning
  RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(failed)
  message(FATAL_ERROR "the console cannot be bundled:\n${said}")
endif()
file(GLOB made RELATIVE ${DIR} ${DIR}/*.js ${DIR}/*.css)
foreach(name ${made})
  if(name MATCHES "\\.js$")
    set(CONSOLE_JS ${name})
  else()
    set(CONSOLE_CSS ${name})
  endif()
endforeach()
configure_file(${SRC}/index.html ${DIR}/index.html @ONLY)
file(COPY ${SRC}/icon.svg DESTINATION ${DIR})

set(arrays "")
set(rows "")
set(i 0)
foreach(name index.html icon.svg ${made})
  file(ARCHIVE_CREATE OUTPUT ${DIR}/${name}.gz PATHS ${DIR}/${name} FORMAT raw COMPRESSION GZip
    COMPRESSION_LEVEL 9 MTIME "2020-01-01 00:00:00")
  foreach(form "" .gz)
    file(READ ${DIR}/${name}${form} hex HEX)
    string(LENGTH "${hex}" digits)
    math(EXPR size${form} "${digits} / 2")
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
    string(MAKE_C_IDENTIFIER "file_${i}${form}" id)
    string(APPEND arrays "static const unsigned char ${id}[] = {${bytes}0};\n")
  endforeach()
  file(SHA256 ${DIR}/${name} hash)
  string(SUBSTRING ${hash} 0 16 tag)
  string(APPEND rows "    {\"${name}\", \"\\\"${tag}\\\"\", file_${i}, ${size}, file_${i}_gz, ${size.gz}},\n")
  math(EXPR i "${i} + 1")
endforeach()
file(WRITE ${OUT} "/* Generated from engine/app/console/bundle.cmake. */\n"
  "#include \"app/console_files.h\"\n${arrays}"
  "const struct sh_console_file sh_console_files[] = {\n${rows}};\n"
  "const size_t sh_console_n_files = ${i};\n")
