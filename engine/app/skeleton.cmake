# Writes ${OUT}: the table sh_skeleton_files of ${FILES}, entries "path in a project=file".
set(arrays "")
set(rows "")
set(i 0)
foreach(entry ${FILES})
  string(REGEX MATCH "^([^=]+)=(.+)$" ok "${entry}")
  set(path "${CMAKE_MATCH_1}")
  file(READ ${CMAKE_MATCH_2} hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR size "${digits} / 2")
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char file_${i}[] = {${bytes}0};\n")
  string(APPEND rows "    {\"${path}\", file_${i}, ${size}},\n")
  math(EXPR i "${i} + 1")
endforeach()
file(WRITE ${OUT} "/* Generated from engine/app/skeleton.cmake. */\n#include \"app/skeleton.h\"\n"
  "extern const struct sh_skeleton_file sh_skeleton_files[];\n"
  "extern const size_t sh_skeleton_n_files;\n${arrays}"
  "const struct sh_skeleton_file sh_skeleton_files[] = {\n${rows}};\n"
  "const size_t sh_skeleton_n_files = ${i};\n")
