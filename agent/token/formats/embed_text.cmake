# cmake -D FROM=<file> -D TO=<file.cc> -D NAME=<function> -P embed_text.cmake
#
# Makes a source file that holds a text as `std::string_view tokenwatch::<NAME>()`. In pieces, as
# compilers need not take longer literals than 64 KiB.
file(READ ${FROM} rest)
set(literals "")
while(NOT rest STREQUAL "")
  string(LENGTH "${rest}" left)
  if(left GREATER 16000)
    string(SUBSTRING "${rest}" 0 16000 piece)
    string(SUBSTRING "${rest}" 16000 -1 rest)
  else()
    set(piece "${rest}")
    set(rest "")
  endif()
  string(APPEND literals "\n    R\"yaml~(${piece})yaml~\"")
endwhile()
file(WRITE ${TO} "#include <string_view>

namespace tokenwatch {

std::string_view ${NAME}();

std::string_view ${NAME}() {
  return std::string_view(${literals});
}

}  // namespace tokenwatch
")
