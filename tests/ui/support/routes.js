// Every address of the page, with the states that are worth looking at.

export const ROUTES = [
  '/', '/live', '/live?tag=press/oil_temperature', '/buses', '/buses?new=1', '/buses?device=meter', '/scan', '/registers', '/registers?bus=hall1&unit=1', '/mapping', '/mapping?tag=press/oil_temperature',
  '/changes', '/uplinks', '/rehearse', '/trace', '/broker', '/broker?tab=topics', '/broker?tab=retained', '/broker?tab=clients', '/config', '/config?tab=history', '/config?tab=backup',
  '/profiles', '/profiles/eastron-sdm630', '/users', '/users?tab=tokens', '/users?tab=broker', '/system', '/system?tab=log', '/system?tab=audit', '/system?tab=certificate',
];
