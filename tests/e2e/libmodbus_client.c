/* A libmodbus client: `tcp HOST PORT` or `rtu DEVICE BAUD PARITY`, then UNIT, then any number of
 * `TABLE ADDRESS COUNT` (read) or `write ADDRESS VALUE` (function 6). One line per item: the words in hex,
 * or the error. */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv) {
    int at = 1, i, done;
    modbus_t *ctx;
    if (argc > 4 && !strcmp(argv[at], "tcp")) {
        ctx = modbus_new_tcp(argv[2], atoi(argv[3]));
        at = 4;
    } else if (argc > 5) {
        ctx = modbus_new_rtu(argv[2], atoi(argv[3]), argv[4][0], 8, 1);
        at = 5;
    } else {
        return 2;
    }
    modbus_set_slave(ctx, atoi(argv[at++]));
    modbus_set_response_timeout(ctx, 2, 0);
    if (modbus_connect(ctx)) { fprintf(stderr, "connect: %s\n", modbus_strerror(errno)); return 1; }
    for (; at + 2 < argc; at += 3) {
        const char *what = argv[at];
        int address = atoi(argv[at + 1]), count = atoi(argv[at + 2]);
        uint16_t words[125];
        uint8_t bits[2000];
        int registers = !strcmp(what, "holding") || !strcmp(what, "input");
        if (!strcmp(what, "write")) done = modbus_write_register(ctx, address, count);
        else if (!strcmp(what, "holding")) done = modbus_read_registers(ctx, address, count, words);
        else if (!strcmp(what, "input")) done = modbus_read_input_registers(ctx, address, count, words);
        else if (!strcmp(what, "coil")) done = modbus_read_bits(ctx, address, count, bits);
        else done = modbus_read_input_bits(ctx, address, count, bits);
        if (done < 0) { printf("%s\n", modbus_strerror(errno)); continue; }
        for (i = 0; strcmp(what, "write") && i < done; i++) {
            if (registers) printf("%s%04x", i ? " " : "", words[i]);
            else printf("%s%d", i ? " " : "", bits[i]);
        }
        printf("\n");
    }
    modbus_close(ctx);
    return 0;
}
