; The programs of the chosen services, included by supervisord.conf. Rendered from ${template}, not to be edited.
; A service drains for up to 10 s when it is told to stop.
% for each in programs:

[${each.section}]
% if each.socket:
; held by supervisord, inherited by each process as its file descriptor 0
socket=${each.socket}
socket_backlog=4096
% endif
command=${each.command}
numprocs=${each.processes}
process_name=${each.process_name}
environment=${each.environment}
priority=${each.priority}
autorestart=true
startretries=100
stopwaitsecs=15
killasgroup=true
redirect_stderr=true
% if each.log:
stdout_logfile=${each.log}
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
% else:
stdout_logfile=/dev/fd/1
stdout_logfile_maxbytes=0
% endif
% endfor
