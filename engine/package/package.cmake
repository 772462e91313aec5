# Installing (`cmake --install build --prefix P`) and the Debian package (`cpack` in the build
# folder, ./dev package).
include(GNUInstallDirs)
install(TARGETS switchhook RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY examples DESTINATION ${CMAKE_INSTALL_DOCDIR} PATTERN demo EXCLUDE)
install(CODE "
  set(SRC \"${CMAKE_SOURCE_DIR}\")
  set(VERSION \"${PROJECT_VERSION}\")
  set(BUILD \"${CMAKE_BINARY_DIR}\")
  set(DIR_BIN \"${CMAKE_INSTALL_BINDIR}\")
  set(DIR_MAN \"${CMAKE_INSTALL_MANDIR}\")
  set(DIR_DOC \"${CMAKE_INSTALL_DOCDIR}\")")
install(SCRIPT engine/package/install.cmake)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME switchhook)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_THREADS 1) # the same bytes each time
set(CPACK_PACKAGE_CONTACT "the switchhook authors <switchhook@localhost>")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# adduser makes the user where systemd-sysusers is not there; tzdata: zones of rules and hours.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, tzdata")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "lua-busted, nginx, prometheus")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "webhook engine that an operations team scripts in Lua
Webhooks come in; each becomes a durable event and a Lua table. The team's
rules run on it and schedule callbacks and timers, send email, call other
systems, keep records. What they ask for is committed together with the
event, in one SQLite file.
.
Rules are taken up while the engine runs. A console in the browser shows
what they did. The service listens on 127.0.0.1:8080 until it is told
otherwise.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${CMAKE_SOURCE_DIR}/engine/package/debian/postinst
  ${CMAKE_SOURCE_DIR}/engine/package/debian/prerm
  ${CMAKE_SOURCE_DIR}/engine/package/debian/postrm
  ${CMAKE_BINARY_DIR}/package/conffiles)
include(CPack)
