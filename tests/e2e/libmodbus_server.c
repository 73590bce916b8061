/* A libmodbus TCP server: PORT, then the holding and input registers' values; coil 2 is on. */
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    modbus_t *ctx = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
    modbus_mapping_t *map = modbus_mapping_new(64, 64, 64, 64);
    uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    int listener, i;
    for (i = 2; i < argc && i < 66; i++) {
        map->tab_registers[i - 2] = (uint16_t)atoi(argv[i]);
        map->tab_input_registers[i - 2] = (uint16_t)atoi(argv[i]);
    }
    map->tab_bits[2] = 1;
    listener = modbus_tcp_listen(ctx, 4);
    if (listener < 0) { perror("listen"); return 1; }
    for (;;) {
        if (modbus_tcp_accept(ctx, &listener) < 0) { perror("accept"); return 1; }
        for (;;) {
            int length = modbus_receive(ctx, query);
            if (length < 0) break;
            if (length > 0) modbus_reply(ctx, query, length, map);
        }
        modbus_close(ctx);
    }
}
