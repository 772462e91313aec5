# Writes ${OUT}: every file of ${FILES} as `const unsigned char sh_embed_<name>[]` and its size.
set(text "/* Generated from engine/lua/embed.cmake. */\n#include <stddef.h>\n")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  string(APPEND text "extern const unsigned char sh_embed_${name}[];\n"
    "extern const size_t sh_embed_${name}_size;\n"
    "const unsigned char sh_embed_${name}[] = {${bytes}0};\n"
    "const size_t sh_embed_${name}_size = sizeof(sh_embed_${name}) - 1;\n")
endforeach()
file(WRITE ${OUT} "${text}")
