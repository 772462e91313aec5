#include "app/app.h"
int sh_main(int argc, char **argv){(void)argc;(void)argv;return 2;}
