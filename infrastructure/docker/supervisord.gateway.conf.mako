; Rendered: ${processes} gateway processes behind one listening socket. Each finds it as its standard input.
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=/tmp/supervisord.pid

[fcgi-program:gateway_service]
command=python -m shared.run gateway_service
socket=tcp://0.0.0.0:8000
socket_backlog=1024
environment=GATEWAY_SOCKET_FD="0",PROCESS_NUMBER="%(process_num)d"
process_name=%(program_name)s_%(process_num)d
numprocs=${processes}
autorestart=true
startretries=100
stopwaitsecs=13
stopsignal=TERM
redirect_stderr=true
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0
