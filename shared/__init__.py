"""What Nameko 2.14 lacks for production work, written once as ordinary Nameko extensions."""
