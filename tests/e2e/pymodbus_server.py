"""A pymodbus server with the registers of test_values: `tcp PORT` or `rtu DEVICE`."""

import sys

from pymodbus import FramerType
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.server import StartSerialServer, StartTcpServer

from test_values import COILS, REGISTERS

# pymodbus data blocks count from 1.
device = ModbusDeviceContext(
    di=ModbusSequentialDataBlock(1, COILS + [False] * 60),
    co=ModbusSequentialDataBlock(1, COILS + [False] * 60),
    hr=ModbusSequentialDataBlock(1, REGISTERS),
    ir=ModbusSequentialDataBlock(1, REGISTERS),
)
context = ModbusServerContext(devices=device, single=True)
kind, where = sys.argv[1:]
if kind == "tcp":
    StartTcpServer(context, address=("127.0.0.1", int(where)))
else:
    StartSerialServer(context, framer=FramerType.RTU, port=where, baudrate=19200, parity="N")
