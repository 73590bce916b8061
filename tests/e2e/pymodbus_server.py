"""A pymodbus server with the registers of test_values.

`tcp PORT [FRAMER]`, `udp PORT FRAMER`, `rtu DEVICE`, `serial DEVICE FRAMER`, or `tls PORT DIRECTORY`
with certificates on both sides.
"""

import pathlib
import ssl
import sys

from pymodbus import FramerType
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import StartSerialServer, StartTcpServer, StartTlsServer, StartUdpServer

from test_values import COILS, REGISTERS

# pymodbus data blocks count from 1.
device = ModbusDeviceContext(
    di=ModbusSequentialDataBlock(1, COILS + [False] * 60),
    co=ModbusSequentialDataBlock(1, COILS + [False] * 60),
    hr=ModbusSequentialDataBlock(1, REGISTERS),
    ir=ModbusSequentialDataBlock(1, REGISTERS),
)
context = ModbusServerContext(devices=device, single=True)
kind, where, *more = sys.argv[1:]
if kind == "tls":
    pki = pathlib.Path(more[0])
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pki / "device.pem", pki / "device.key")
    tls.load_verify_locations(pki / "ca.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    # Modbus/TCP Security carries the frames of Modbus TCP; pymodbus would leave out their header.
    StartTlsServer(context, framer=FramerType.SOCKET, address=("127.0.0.1", int(where)), sslctx=tls)
elif kind == "tcp":
    framer = FramerType(more[0]) if more else FramerType.SOCKET
    StartTcpServer(context, framer=framer, address=("127.0.0.1", int(where)))
elif kind == "udp":
    StartUdpServer(context, framer=FramerType(more[0]), address=("127.0.0.1", int(where)))
else:
    framer = FramerType(more[0]) if more else FramerType.RTU
    StartSerialServer(context, framer=framer, port=where, baudrate=19200, parity="N")
