#!/bin/sh
# The processes of a container that runs several: those that SERVICES and PROCESSES choose, under the root's
# supervisord.conf. The image says where it keeps its things, in /tmp; broker and databases run elsewhere.
set -eu
export PRIVATE_POSTGRES=false PRIVATE_RABBITMQ=false
umask 077
mkdir -p "$SUPERVISOR_FOLDER/log"
python -m infrastructure.programs "$SUPERVISOR_PROGRAMS"
exec supervisord --nodaemon --configuration supervisord.conf
