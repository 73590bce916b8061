"""Who is measured. README.md, one directory up, says how to add one."""

from subjects.bad import Bad
from subjects.fieldhold import Fieldhold, FieldholdDefault, FieldholdLan
from subjects.mosquitto import Bridge
from subjects.node_red import NodeRed
from subjects.thingsboard import ThingsBoard, ThingsBoardTags

ALL = (Fieldhold, FieldholdDefault, ThingsBoard, ThingsBoardTags, NodeRed, FieldholdLan, Bridge, Bad)
SUBJECTS = {subject.name: subject for subject in ALL}
