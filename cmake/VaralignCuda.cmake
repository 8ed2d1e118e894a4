# The CUDA build, included where VARALIGN_CUDA is ON: nvcc and the libraries of
# the toolkit's wheels, and the function that makes a library of kernels.
#
#   VARALIGN_CUDA_ROOT   .../site-packages/nvidia: nvcc below cu13/, nccl/;
#                        beside libtorch where it is not given
#
#   varalign_cuda_library(NAME model_cuda SRCS foo.cu ... HDRS foo.h ...)
#   varalign::cudart, varalign::nccl, varalign::c10_cuda
#
# Nothing here needs a GPU. Kernels include no header of torch.
set(VARALIGN_CUDA_ROOT "$ENV{VARALIGN_CUDA_ROOT}" CACHE PATH
    "site-packages/nvidia with the CUDA 13 toolkit and NCCL")
if(NOT VARALIGN_CUDA_ROOT)
  set(VARALIGN_CUDA_ROOT ${VARALIGN_TORCH_ROOT}/../nvidia)
endif()
set(_cuda ${VARALIGN_CUDA_ROOT}/cu13)

# The wheels hold neither lib64 nor libcudart.so without a version: the runtime
# is linked by its path.
if(NOT CMAKE_CUDA_COMPILER)
  set(CMAKE_CUDA_COMPILER ${_cuda}/bin/nvcc)
endif()
set(CMAKE_CUDA_FLAGS "${CMAKE_CUDA_FLAGS} -L${_cuda}/lib")
set(CMAKE_CUDA_RUNTIME_LIBRARY None)
set(CMAKE_CUDA_ARCHITECTURES 90a)
if(VARALIGN_CCACHE)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${VARALIGN_CCACHE})
endif()
enable_language(CUDA)
# Debian's CMake does not know the flag of nvcc's C++20.
set(CMAKE_CUDA_STANDARD 20)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()

function(varalign_import_cuda NAME LIBRARY)
  cmake_parse_arguments(A "" "" "PATHS;INCLUDES" ${ARGN})
  string(TOUPPER VARALIGN_${NAME}_LIB _found)
  find_library(${_found} NAMES ${LIBRARY} PATHS ${A_PATHS} NO_DEFAULT_PATH
    REQUIRED)
  add_library(varalign::${NAME} SHARED IMPORTED GLOBAL)
  set_target_properties(varalign::${NAME} PROPERTIES
    IMPORTED_LOCATION ${${_found}})
  target_include_directories(varalign::${NAME} SYSTEM INTERFACE ${A_INCLUDES})
endfunction()
varalign_import_cuda(cudart libcudart.so.13
  PATHS ${_cuda}/lib INCLUDES ${_cuda}/include)
# Beside libtorch where it has one of its own: one NCCL per process.
varalign_import_cuda(nccl libnccl.so.2
  PATHS ${VARALIGN_TORCH_ROOT}/../nvidia/nccl/lib
        ${VARALIGN_CUDA_ROOT}/nccl/lib
  INCLUDES ${VARALIGN_CUDA_ROOT}/nccl/include)
varalign_import_cuda(c10_cuda c10_cuda PATHS ${VARALIGN_TORCH_ROOT}/lib)
target_link_libraries(varalign::c10_cuda INTERFACE
  varalign::c10 varalign::cudart)

function(varalign_cuda_library)
  cmake_parse_arguments(A "" "NAME" "SRCS;HDRS" ${ARGN})
  add_library(varalign_${A_NAME} STATIC ${A_SRCS} ${A_HDRS})
  target_include_directories(varalign_${A_NAME} PUBLIC
    ${PROJECT_SOURCE_DIR}/src)
  target_compile_options(varalign_${A_NAME} PRIVATE
    -Werror=all-warnings -Xcompiler=-Wall,-Wextra,-Werror)
  target_link_libraries(varalign_${A_NAME} PUBLIC varalign::cudart)
  add_library(varalign::${A_NAME} ALIAS varalign_${A_NAME})
endfunction()
