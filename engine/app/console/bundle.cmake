# Writes ${OUT}: the console's files as the table sh_console_files (console_files.h): the
# scripts that esbuild makes of ${SRC} with the packages of ${MODULES}, their style sheet, the page
# itself, and each of them gzipped. ${DIR} is a folder to work in. Names of scripts and style sheet hold a hash of what
# is in them, so that browsers may keep them for ever.
file(REMOVE_RECURSE ${DIR})
file(MAKE_DIRECTORY ${DIR})
set(esbuild ${CMAKE_COMMAND} -E env NODE_PATH=${MODULES} ${ESBUILD} --bundle --minify --target=es2022
  --charset=utf8 --legal-comments=none --log-level=warning --outdir=${DIR})
function(bundle)
  execute_process(COMMAND ${esbuild} ${ARGN}
    RESULT_VARIABLE failed OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(failed)
    message(FATAL_ERROR "the console cannot be bundled:\n${said}")
  endif()
endfunction()
# The script in two: what the first page needs, and the pages that are asked for later.
bundle(${SRC}/entry.js --format=esm --splitting --jsx=automatic --jsx-import-source=preact
  --loader:.css=empty --entry-names=[name]-[hash] --chunk-names=console-[hash]
  --metafile=${DIR}/meta.json)
# One style sheet of all: the base, then the parts, then the pages, which may say otherwise.
file(GLOB parts ${SRC}/parts/*.css)
file(GLOB pages ${SRC}/pages/*.css)
set(sheet "")
foreach(file ${SRC}/console.css ${parts} ${pages})
  string(APPEND sheet "@import \"${file}\";\n")
endforeach()
file(WRITE ${DIR}/console.css "${sheet}")
bundle(${DIR}/console.css --entry-names=[name]-[hash])
file(REMOVE ${DIR}/console.css)
file(GLOB made RELATIVE ${DIR} ${DIR}/*.js ${DIR}/*.css)
foreach(name ${made})
  if(name MATCHES "\\.css$")
    set(CONSOLE_CSS ${name})
  endif()
endforeach()
# What the entry imports is the script that the page loads; the entry itself does nothing else.
file(READ ${DIR}/meta.json meta)
string(JSON n LENGTH "${meta}" outputs)
math(EXPR last "${n} - 1")
foreach(i RANGE ${last})
  string(JSON path MEMBER "${meta}" outputs ${i})
  string(JSON entry ERROR_VARIABLE none GET "${meta}" outputs ${path} entryPoint)
  if(entry MATCHES "entry\\.js$")
    get_filename_component(entry ${path} NAME)
    string(JSON import GET "${meta}" outputs ${path} imports 0 path)
    string(JSON m LENGTH "${meta}" outputs ${path} imports)
    string(JSON bytes GET "${meta}" outputs ${path} bytes)
    if(NOT m EQUAL 1 OR bytes GREATER 200)
      message(FATAL_ERROR "the console's entry is not one import: ${path}, ${m} imports, ${bytes} bytes")
    endif()
    get_filename_component(CONSOLE_JS ${import} NAME)
    file(REMOVE ${DIR}/${entry})
    list(REMOVE_ITEM made ${entry})
  endif()
endforeach()
# What the scripts ask the engine as soon as they run comes while they are on their way; for the first page,
# the list of calls too. As fetch() asks, or the browser asks twice.
function(page name)
  set(CONSOLE_ASKS "")
  foreach(path ${ARGN})
    string(APPEND CONSOLE_ASKS "<link rel=\"preload\" href=\"/api/v1${path}\" as=\"fetch\" crossorigin>\n")
  endforeach()
  string(STRIP "${CONSOLE_ASKS}" CONSOLE_ASKS)
  configure_file(${SRC}/index.html ${DIR}/${name} @ONLY)
endfunction()
page(index.html /session /attention)
page(calls.html /session "/calls?senders=true&limit=60" /attention)
file(COPY ${SRC}/icon.svg DESTINATION ${DIR})

set(arrays "")
set(rows "")
set(i 0)
foreach(name index.html calls.html icon.svg ${made})
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
