/* SPDX-License-Identifier: MIT
 * main.c: entry point; everything else is engine/app. */
#include "app/app.h"

int main(int argc, char **argv)
{
    return sh_main(argc, argv);
}
